package facts

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Features is what is known of a node, by set name, before it becomes Facts.
// A set that is there but empty was looked at and has no elements.
type Features struct {
	Flags      map[string][]string
	Attributes map[string]map[string]string
	Instances  map[string][]map[string]string
	// Unknown is the cause, for each set ("cpu.cpuid") or element
	// ("cpu.model/hypervisor") that could not be read. Of a list of instances an
	// element is an attribute, and "pci.device/*" all attributes but those of Absent. "*" is for all sets that are
	// not mentioned.
	Unknown map[string]string
	// Absent lists the elements known to be missing from sets of which the rest
	// is unknown. In a set that was read, missing elements need no mention. Of a list
	// of instances they are attributes that an instance does not have unless it says so.
	Absent map[string][]string
	// Origins is where the facts were read ("/proc/cpuinfo"), for each set and for
	// elements that came from elsewhere than the rest of their set.
	Origins map[string]string
	// Problems lists what was skipped while reading, such as a bad file of the
	// operator's.
	Problems []string
}

// New builds Facts from a copy of features. The os and arch have GOOS and
// GOARCH spelling.
func New(os, arch string, features Features) *Facts {
	return build(os, arch, features, copyText)
}

// NewOwned is New without the copy: the caller gives the features away.
func NewOwned(os, arch string, features Features) *Facts {
	return build(os, arch, features, ownText)
}

// build builds Facts with what take returns for each map of features.
func build(os, arch string, features Features, take func(map[string]string) map[string]string) *Facts {
	f := &Facts{
		os:              os,
		arch:            arch,
		flags:           make(map[string]map[string]struct{}, len(features.Flags)),
		attributes:      make(map[string]map[string]string, len(features.Attributes)),
		instances:       make(map[string][]map[string]string, len(features.Instances)),
		unknownSets:     map[string]string{},
		unknownElements: map[string]map[string]string{},
		unknown:         copyText(features.Unknown),
		absent:          map[string]map[string]struct{}{},
		origins:         copyText(features.Origins),
	}
	for set, flags := range features.Flags {
		elements := make(map[string]struct{}, len(flags))
		for _, flag := range flags {
			elements[validText(flag)] = struct{}{}
		}
		f.flags[validText(set)] = elements
	}
	for set, attributes := range features.Attributes {
		f.attributes[validText(set)] = take(attributes)
	}
	for set, list := range features.Instances {
		copied := make([]map[string]string, 0, len(list))
		for _, attributes := range list {
			copied = append(copied, take(attributes))
		}
		f.instances[validText(set)] = copied
	}
	for set, elements := range features.Absent {
		for _, element := range elements {
			delete(f.unknown, validText(set)+"/"+validText(element))
		}
	}
	for name, cause := range f.unknown {
		if set, element, isElement := strings.Cut(name, "/"); isElement {
			insert(f.unknownElements, set, element, cause)
		} else {
			f.unknownSets[set] = cause
		}
	}
	for set, elements := range features.Absent {
		for _, element := range elements {
			set, element := validText(set), validText(element)
			// What follows from the rest is left out, so that equal facts have equal features.
			if f.Lookup(set, element).State == Unknown {
				insert(f.absent, set, element, struct{}{})
			}
		}
	}
	for _, problem := range features.Problems {
		f.problems = append(f.problems, validText(problem))
	}
	return f
}

func insert[V any](sets map[string]map[string]V, set, element string, value V) {
	if sets[set] == nil {
		sets[set] = map[string]V{}
	}
	sets[set][element] = value
}

// ownText is copyText for a map that is not shared: it is copied only where
// something in it must be replaced. A kernel has thousands of options.
func ownText(attributes map[string]string) map[string]string {
	if attributes == nil {
		return map[string]string{}
	}
	for key, value := range attributes {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return copyText(attributes)
		}
	}
	return attributes
}

// copyText never returns nil, so that a known empty set stays known.
func copyText(attributes map[string]string) map[string]string {
	copied := make(map[string]string, len(attributes))
	for key, value := range attributes {
		copied[validText(key)] = validText(value)
	}
	return copied
}

// validText replaces what JSON cannot encode, so that facts survive a round trip.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// NewFeatures returns features without any set.
func NewFeatures() Features {
	return Features{
		Flags:      map[string][]string{},
		Attributes: map[string]map[string]string{},
		Instances:  map[string][]map[string]string{},
		Unknown:    map[string]string{},
		Absent:     map[string][]string{},
		Origins:    map[string]string{},
	}
}

// Add adds what one collector found.
func (f *Features) Add(found Features) {
	maps.Copy(f.Flags, found.Flags)
	maps.Copy(f.Attributes, found.Attributes)
	maps.Copy(f.Instances, found.Instances)
	maps.Copy(f.Unknown, found.Unknown)
	maps.Copy(f.Absent, found.Absent)
	maps.Copy(f.Origins, found.Origins)
	f.Problems = append(f.Problems, found.Problems...)
}

// Sets returns the names of all sets that are mentioned, sorted.
func (f Features) Sets() []string {
	sets := map[string]struct{}{}
	addSets(sets, f.Flags)
	addSets(sets, f.Attributes)
	addSets(sets, f.Instances)
	addSets(sets, f.Unknown)
	addSets(sets, f.Absent)
	return slices.Sorted(maps.Keys(sets))
}

// Only returns the sets for which keep is true, without problems.
func (f Features) Only(keep func(set string) bool) Features {
	return Features{
		Flags:      only(f.Flags, keep),
		Attributes: only(f.Attributes, keep),
		Instances:  only(f.Instances, keep),
		Unknown:    only(f.Unknown, keep),
		Absent:     only(f.Absent, keep),
		Origins:    only(f.Origins, keep),
	}
}

func addSets[V any](sets map[string]struct{}, from map[string]V) {
	for name := range from {
		sets[setOf(name)] = struct{}{}
	}
}

func only[V any](from map[string]V, keep func(string) bool) map[string]V {
	kept := map[string]V{}
	for name, value := range from {
		if keep(setOf(name)) {
			kept[name] = value
		}
	}
	return kept
}

// setOf returns the set of a name that may be "set" or "set/element".
func setOf(name string) string {
	set, _, _ := strings.Cut(name, "/")
	return set
}
