package hostfacts

import (
	"maps"
	"slices"
	"strings"
)

// Features is what is known of a node, by set name, before it becomes Facts.
// A set that is there but empty was looked at and holds nothing.
type Features struct {
	Flags      map[string][]string
	Attributes map[string]map[string]string
	Instances  map[string][]map[string]string
	// Unknown holds, for each set ("cpu.cpuid") or element
	// ("cpu.model/hypervisor") that could not be read, the cause.
	Unknown map[string]string
}

// New builds Facts from a copy of features. The os and arch have GOOS and
// GOARCH spelling.
func New(os, arch string, features Features) *Facts {
	f := &Facts{
		os:              os,
		arch:            arch,
		flags:           make(map[string]map[string]struct{}, len(features.Flags)),
		attributes:      make(map[string]map[string]string, len(features.Attributes)),
		instances:       make(map[string][]map[string]string, len(features.Instances)),
		unknownSets:     map[string]string{},
		unknownElements: map[string]map[string]string{},
		unknown:         copyText(features.Unknown),
	}
	for set, flags := range features.Flags {
		elements := make(map[string]struct{}, len(flags))
		for _, flag := range flags {
			elements[validText(flag)] = struct{}{}
		}
		f.flags[validText(set)] = elements
	}
	for set, attributes := range features.Attributes {
		f.attributes[validText(set)] = copyText(attributes)
	}
	for set, list := range features.Instances {
		copied := make([]map[string]string, 0, len(list))
		for _, attributes := range list {
			copied = append(copied, copyText(attributes))
		}
		f.instances[validText(set)] = copied
	}
	for name, cause := range f.unknown {
		f.addUnknown(name, cause)
	}
	return f
}

func (f *Facts) addUnknown(name, cause string) {
	set, element, isElement := strings.Cut(name, "/")
	if !isElement {
		f.unknownSets[set] = cause
		return
	}
	if f.unknownElements[set] == nil {
		f.unknownElements[set] = map[string]string{}
	}
	f.unknownElements[set][element] = cause
}

func (f *Facts) features() Features {
	features := emptyFeatures()
	for set, elements := range f.flags {
		features.Flags[set] = slices.Sorted(maps.Keys(elements))
	}
	for set, attributes := range f.attributes {
		features.Attributes[set] = maps.Clone(attributes)
	}
	for set, list := range f.instances {
		copied := make([]map[string]string, 0, len(list))
		for _, attributes := range list {
			copied = append(copied, maps.Clone(attributes))
		}
		features.Instances[set] = copied
	}
	maps.Copy(features.Unknown, f.unknown)
	return features
}

// copyText never returns nil, so that a known empty set stays known.
func copyText(attributes map[string]string) map[string]string {
	copied := make(map[string]string, len(attributes))
	for key, value := range attributes {
		copied[validText(key)] = validText(value)
	}
	return copied
}

// validText makes s what JSON can hold, so that facts come back from JSON as
// they went in.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
