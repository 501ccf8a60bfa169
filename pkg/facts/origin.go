package facts

import (
	"cmp"
	"slices"
)

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
