package hostfacts

import (
	"slices"
	"strings"
)

// Families returns the first words of all sets that are collected, such as cpu
// for cpu.cpuid, sorted.
func Families() []string {
	var families []string
	for _, c := range collectors() {
		for _, set := range c.sets {
			family, _, _ := strings.Cut(set, ".")
			families = append(families, family)
		}
	}
	slices.Sort(families)
	return slices.Compact(families)
}
