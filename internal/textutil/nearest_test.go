package textutil

import (
	"strings"
	"testing"
)

func TestNearestNamesWhatWasMeant(t *testing.T) {
	t.Parallel()
	known := []string{"count", "counter", "AVX2", "cpu.cpuid", "kernel-version.major", "kernel.version", "AVX512F", strings.Repeat("x", 1000)}
	for name, want := range map[string]string{
		"cuont":                  "count",
		"COUNT":                  "count",
		"count":                  "", // not misspelt
		"couner":                 "counter",
		"avx2":                   "AVX2",
		"AVX22":                  "AVX2",
		"AVX512":                 "AVX512F",
		"kernal.version":         "kernel.version",
		"nothing.alike":          "",
		"cpu.cpudi":              "cpu.cpuid",
		"kernel-versoin.mjaor":   "kernel-version.major",
		"":                       "",
		strings.Repeat("x", 999): "", // too long to be typed
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%.20q) = %.20q, want %q", name, got, want)
		}
	}
	if got := Nearest("ac", []string{"ab", "bc"}); got != "ab" {
		t.Errorf("of two alike the first is meant, not %q", got)
	}
}

func FuzzDistanceIsSymmetric(f *testing.F) {
	f.Add("count", "cuont")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > longestName || len(b) > longestName {
			return
		}
		if d := distance(a, b); d != distance(b, a) || d > max(len(a), len(b)) || (d == 0) != (a == b) {
			t.Errorf("distance(%q, %q) = %d, the other way %d", a, b, d, distance(b, a))
		}
	})
}
