package facts

import "iter"

// Names returns the names of a set's elements in no particular order: those that
// are present, and those that are unknown while the rest of the set is not. Of a
// list of instances they are the names of the attributes, instance by instance.
// The other result is Present when the whole set could be read, even if it is
// empty, and Unknown otherwise.
func (f *Facts) Names(set string) (iter.Seq2[string, Fact], Fact) {
	state := Fact{State: Present}
	if cause, unknown := f.unknownSets[set]; unknown {
		state = Fact{Cause: cause}
	} else if !f.hasElements(set) && !f.HasInstances(set) {
		state = Fact{Cause: f.notCollected(set)}
	} else if cause, unknown := f.unknownElements[set][others]; unknown {
		state = Fact{Cause: cause}
	}
	return func(yield func(string, Fact) bool) { f.eachName(set, yield) }, state
}

func (f *Facts) hasElements(set string) bool {
	_, isFlags := f.flags[set]
	_, isAttributes := f.attributes[set]
	return isFlags || isAttributes
}

func (f *Facts) eachName(set string, yield func(string, Fact) bool) {
	for name := range f.flags[set] {
		if !yield(name, Fact{State: Present}) {
			return
		}
	}
	for name, value := range f.attributes[set] {
		if !yield(name, Fact{State: Present, Value: value}) {
			return
		}
	}
	for _, instance := range f.instances[set] {
		for name, value := range instance {
			if !yield(name, Fact{State: Present, Value: value}) {
				return
			}
		}
	}
	for name, cause := range f.unknownElements[set] {
		if name != others && f.Lookup(set, name).State == Unknown && !yield(name, Fact{Cause: cause}) {
			return
		}
	}
}
