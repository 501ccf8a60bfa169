package facts

import (
	"maps"
	"slices"
)

// DifferingSets returns the sets of which anything is not the same in f and other.
// Unlike ChangedSets it knows no values that come and go: what rests on one of these
// sets may be different now.
func (f *Facts) DifferingSets(other *Facts) map[string]bool {
	differing := map[string]bool{}
	markDiffering(differing, f.flags, other.flags, maps.Equal)
	markDiffering(differing, f.attributes, other.attributes, maps.Equal)
	markDiffering(differing, f.absent, other.absent, maps.Equal)
	markDiffering(differing, f.unknownElements, other.unknownElements, maps.Equal)
	markDiffering(differing, f.unknownSets, other.unknownSets, func(a, b string) bool { return a == b })
	markDiffering(differing, f.instances, other.instances, func(a, b []map[string]string) bool {
		return slices.EqualFunc(a, b, maps.Equal)
	})
	return differing
}

// markDiffering adds the sets that only one of the maps has, or that are not equal in both.
func markDiffering[T any](differing map[string]bool, a, b map[string]T, equal func(a, b T) bool) {
	for set, content := range a {
		if other, ok := b[set]; !ok || !equal(content, other) {
			differing[set] = true
		}
	}
	for set := range b {
		if _, ok := a[set]; !ok {
			differing[set] = true
		}
	}
}
