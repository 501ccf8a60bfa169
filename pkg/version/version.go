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
	var v Version
	for rest, more := trim(s), true; more; {
		var n uint64
		var ok bool
		if n, rest, more, ok = next(rest); !ok {
			return nil, false
		}
		v = append(v, n)
	}
	return v, true
}

// Compare orders the versions that two texts begin with, without building
// either. It reports false when one of them is not a version.
func Compare(a, b string) (int, bool) {
	a, b = trim(a), trim(b)
	order := 0
	for moreA, moreB := true, true; moreA || moreB; {
		var x, y uint64
		okA, okB := true, true
		if moreA {
			x, a, moreA, okA = next(a)
		}
		if moreB {
			y, b, moreB, okB = next(b)
		}
		if !okA || !okB {
			return 0, false
		}
		order = cmp.Or(order, cmp.Compare(x, y))
	}
	return order, true
}

func trim(s string) string { return strings.TrimPrefix(strings.TrimSpace(s), "v") }

// next reads the integer that s begins with. There is more when a dot and a digit
// follow.
func next(s string) (n uint64, rest string, more, ok bool) {
	digits := 0
	for digits < len(s) && isDigit(s[digits]) {
		digits++
	}
	n, err := strconv.ParseUint(s[:digits], 10, 64)
	if err != nil {
		return 0, "", false, false
	}
	rest = s[digits:]
	if len(rest) > 1 && rest[0] == '.' && isDigit(rest[1]) {
		return n, rest[1:], true, true
	}
	return n, "", false, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Compare orders two versions. A missing part is zero: 6.8 equals 6.8.0.
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
