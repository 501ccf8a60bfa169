package facts

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// State is how much is known of a fact.
type State uint8

// The three states of a fact. The zero value is Unknown: what was not looked at
// is not known to be missing.
const (
	Unknown State = iota // could not look; Fact.Cause is why
	Absent               // looked, and the node does not have it
	Present              // the node has it
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Present:
		return "present"
	case Absent:
		return "absent"
	default:
		return "unknown"
	}
}

// Fact is the answer to one look-up.
type Fact struct {
	State State
	Value string // the attribute's value; empty for a flag
	Cause string // why the fact is unknown
}

// CauseOf returns in one line why something could not be read, in a form an
// operator can act on: "permission denied reading /proc/config.gz".
func CauseOf(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Err != nil {
		return path.Err.Error() + " reading " + path.Path
	}
	return err.Error()
}

// Facts is what is known of one node at one moment. It is immutable once
// built, so any number of goroutines may read it.
type Facts struct {
	os, arch        string
	flags           map[string]map[string]struct{}
	attributes      map[string]map[string]string
	instances       map[string][]map[string]string
	unknownSets     map[string]string            // set -> cause
	unknownElements map[string]map[string]string // set -> element -> cause
	unknown         map[string]string            // both, under "set" and "set/element"
	// absent holds what is known to be missing from sets that are otherwise
	// unknown.
	absent   map[string]map[string]struct{}
	origins  map[string]string // under "set" and "set/element"
	problems []string

	labelOnce  sync.Once
	labels     map[string]string
	digestOnce sync.Once
	digests    map[string]string // set -> digest of its content
	sum        string
}

// OS returns the node's operating system in GOOS spelling.
func (f *Facts) OS() string { return f.os }

// Arch returns the node's architecture in GOARCH spelling. It is empty when the
// facts come from a tree that does not tell it.
func (f *Facts) Arch() string { return f.arch }

// Lookup returns the state of one element of a flag set or attribute map. An
// element of a set that was read is present or absent; of a set without a
// collector, or that could not be read, it is unknown. Of a set read in part,
// what was seen is present and the rest unknown.
func (f *Facts) Lookup(set, element string) Fact {
	if v, ok := f.attributes[set][element]; ok {
		return Fact{State: Present, Value: v}
	}
	if _, ok := f.flags[set][element]; ok {
		return Fact{State: Present}
	}
	if _, ok := f.absent[set][element]; ok {
		return Fact{State: Absent}
	}
	if cause, ok := f.cause(set, element); ok {
		return Fact{Cause: cause}
	}
	return Fact{State: Absent}
}

// Instances returns the instances of a set, such as the devices of
// network.device. The state is Present when the list could be read, even if it
// is empty, and Unknown otherwise. The caller must not change what is returned.
func (f *Facts) Instances(set string) ([]map[string]string, Fact) {
	if cause, unknown := f.unknownSets[set]; unknown {
		return nil, Fact{Cause: cause}
	}
	list, ok := f.instances[set]
	if !ok {
		return nil, Fact{Cause: f.notCollected(set)}
	}
	return list, Fact{State: Present}
}

// others stands for what is not mentioned: for the attributes of instances in a list of
// which a part is known, and for sets where only some were kept.
const others = "*"

// MissingAttribute returns what is known of an attribute that an instance of the set
// does not have: it is absent, or unknown where the attribute could not be read of any.
func (f *Facts) MissingAttribute(set, attribute string) Fact {
	unknown := f.unknownElements[set]
	if cause, ok := unknown[attribute]; ok {
		return Fact{Cause: cause}
	}
	if cause, ok := unknown[others]; ok {
		if _, known := f.absent[set][attribute]; !known {
			return Fact{Cause: cause}
		}
	}
	return Fact{State: Absent}
}

// HasInstances reports whether the set is known as a list of instances.
func (f *Facts) HasInstances(set string) bool {
	_, ok := f.instances[set]
	return ok
}

// Features returns a copy of everything that is known and unknown, in the form
// New takes.
func (f *Facts) Features() Features {
	features := f.FeaturesOf(func(string) bool { return true })
	features.Problems = slices.Clone(f.problems)
	return features
}

// FeaturesOf returns a copy of what is known and unknown of the sets for which keep is
// true, without problems.
func (f *Facts) FeaturesOf(keep func(set string) bool) Features {
	features := Features{Unknown: only(f.unknown, keep), Origins: only(f.origins, keep)}
	features.Flags = mapped(f.flags, keep, sortedKeys)
	features.Attributes = mapped(f.attributes, keep, maps.Clone[map[string]string])
	features.Absent = mapped(f.absent, keep, sortedKeys)
	features.Instances = mapped(f.instances, keep, func(list []map[string]string) []map[string]string {
		copied := make([]map[string]string, 0, len(list))
		for _, attributes := range list {
			copied = append(copied, maps.Clone(attributes))
		}
		return copied
	})
	return features
}

// mapped returns a copy of each set that is kept.
func mapped[A, B any](from map[string]A, keep func(set string) bool, copied func(A) B) map[string]B {
	kept := map[string]B{}
	for set, content := range from {
		if keep(set) {
			kept[set] = copied(content)
		}
	}
	return kept
}

func sortedKeys(elements map[string]struct{}) []string { return slices.Sorted(maps.Keys(elements)) }

// Unknown returns the sets, and the elements as "set/element", that could not
// be read, each with its cause.
func (f *Facts) Unknown() map[string]string { return maps.Clone(f.unknown) }

func (f *Facts) cause(set, element string) (string, bool) {
	if c, ok := f.unknownElements[set][element]; ok {
		return c, true
	}
	if c, ok := f.unknownSets[set]; ok {
		return c, true
	}
	if f.hasElements(set) {
		return "", false
	}
	if f.HasInstances(set) {
		return set + " is a list of instances and has no elements of its own", true
	}
	return f.notCollected(set), true
}

// notCollected is why nothing is known of a set that is not mentioned.
func (f *Facts) notCollected(set string) string {
	return cmp.Or(f.unknownSets[others], "no collector for "+set)
}

// Origin returns where an element was read, such as "/proc/cpuinfo", "CPUID" or
// "/etc/imagefit/facts.d/10-site.toml", as a path on the node whatever directory
// its tree is at. With an empty element, or one that came with the rest of its
// set, it is the origin of the set. For an instance, the element is its name. It
// is empty when it is not recorded.
func (f *Facts) Origin(set, element string) string {
	if element == "" {
		return f.origins[set]
	}
	return cmp.Or(f.origins[set+"/"+element], f.origins[set])
}

// Problems returns what was skipped while the facts were read, such as a bad file
// of the operator's, one line each.
func (f *Facts) Problems() []string { return slices.Clone(f.problems) }
