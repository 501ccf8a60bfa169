// Package version compares versions as kernels, drivers, C libraries and
// distributions write them: by their leading dotted integers. What follows,
// such as "-427.13.1.el9_4.x86_64" or "-microsoft-standard-WSL2", is an opaque
// flavour and does not take part.
package version

import (
	"cmp"
	"strconv"
	"strings"
)

// Version is the leading dotted integers of a version string.
type Version []uint64

// Parse reads the leading dotted integers of s. It reports false when s does
// not begin with a number (a leading "v" is allowed) or a part overflows.
func Parse(s string) (Version, bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	var v Version
	for {
		digits := 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		if digits == 0 {
			return v, len(v) > 0
		}
		n, err := strconv.ParseUint(s[:digits], 10, 64)
		if err != nil {
			return nil, false
		}
		v = append(v, n)
		s = s[digits:]
		if !strings.HasPrefix(s, ".") {
			return v, true
		}
		s = s[1:]
	}
}

// Compare orders two versions; a part that one of them lacks counts as zero,
// so 6.8 equals 6.8.0.
func (v Version) Compare(w Version) int {
	for i := range max(len(v), len(w)) {
		if c := cmp.Compare(v.part(i), w.part(i)); c != 0 {
			return c
		}
	}
	return 0
}

func (v Version) part(i int) uint64 {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// String returns the integers joined by dots.
func (v Version) String() string {
	parts := make([]string, 0, len(v))
	for _, n := range v {
		parts = append(parts, strconv.FormatUint(n, 10))
	}
	return strings.Join(parts, ".")
}
