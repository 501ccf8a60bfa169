package version_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/version"
)

func TestVersionsAreComparedByTheirIntegers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want int
	}{
		{"6.8", "6.8.0", 0},
		{"6.10", "6.9", 1},
		{"5.14.0-427.13.1.el9_4.x86_64", "5.14", 0},
		{"5.14.0-427.13.1.el9_4.x86_64", "5.15", -1},
		{"6.6.87.2-microsoft-standard-WSL2", "6.6.87", 1},
		{"535.104.05", "535.104.5", 0},
		{"2.28-251.el8", "2.34", -1},
		{"v1.2", "1.2.0", 0},
		{"22.04", "8", 1},
	}
	for _, tt := range tests {
		t.Run(tt.a+"_"+tt.b, func(t *testing.T) {
			t.Parallel()
			a, okA := version.Parse(tt.a)
			b, okB := version.Parse(tt.b)
			if !okA || !okB {
				t.Fatalf("parse %q: %v, parse %q: %v", tt.a, okA, tt.b, okB)
			}
			if got := a.Compare(b); got != tt.want {
				t.Errorf("Compare(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
			}
			if got, ok := version.Compare(tt.a, tt.b); got != tt.want || !ok {
				t.Errorf("Compare of the texts %q, %q = %d, %v, want %d", tt.a, tt.b, got, ok, tt.want)
			}
			if got := b.Compare(a); got != -tt.want {
				t.Errorf("Compare(%q, %q) = %d, want %d", tt.b, tt.a, got, -tt.want)
			}
		})
	}
}

func TestParseRefusesWhatBeginsWithNoNumber(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "v", "x86_64", ".5", "-1", "99999999999999999999999", "1.99999999999999999999999"} {
		if v, ok := version.Parse(s); ok {
			t.Errorf("Parse(%q) = %v, want none", s, v)
		}
		if c, ok := version.Compare(s, "1"); ok {
			t.Errorf("Compare(%q, 1) = %d, want none", s, c)
		}
		if c, ok := version.Compare("1", s); ok {
			t.Errorf("Compare(1, %q) = %d, want none", s, c)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"6.8.0-1015-aws", "535.104.05", "2.28-251.el8", "v", "1..2", "1."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := version.Parse(s)
		if !ok {
			return
		}
		again, ok := version.Parse(v.String())
		if !ok || again.Compare(v) != 0 {
			t.Errorf("Parse(%q) = %v, but its text parses as %v, %v", s, v, again, ok)
		}
	})
}

// FuzzCompare: texts compare as the versions they begin with.
func FuzzCompare(f *testing.F) {
	f.Add("6.8.0-1015-aws", "6.8")
	f.Add("v1..2", "1.")
	f.Add("", "2.99999999999999999999999")
	f.Fuzz(func(t *testing.T, a, b string) {
		v, okV := version.Parse(a)
		w, okW := version.Parse(b)
		got, ok := version.Compare(a, b)
		if ok != (okV && okW) || ok && got != v.Compare(w) {
			t.Errorf("Compare(%q, %q) = %d, %v; parsed they are %v, %v and %v, %v", a, b, got, ok, v, okV, w, okW)
		}
	})
}

func TestCompareAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { version.Compare("6.8.0-31-generic", "5.14") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
