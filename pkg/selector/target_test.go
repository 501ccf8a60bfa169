package selector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// TestCloserTargetGoesFirst: of images for targets that all fit, the one that uses
// more of the CPU goes first, whatever its x86-64 level; what may fit goes last.
func TestCloserTargetGoesFirst(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, cpu, runs, unsure, want string }{
		{"Zen 3", "zen3", "zen3 zen2 zen skylake haswell x86_64_v3 x86_64_v2 x86_64", "zen4", "zen3 zen2 zen skylake haswell x86_64_v3 x86_64_v2 x86_64 zen4"},
		{"Zen 4 that hides its name", "x86_64_v4", "x86_64_v3 x86_64_v4 zen2 skylake_avx512", "zen3", "skylake_avx512 zen2 x86_64_v4 x86_64_v3 zen3"},
		{"Grace", "neoverse_v2", "aarch64 armv8.2a neoverse_n1 neoverse_v1 neoverse_v2 armv9.0a", "", "neoverse_v2 neoverse_v1 armv9.0a neoverse_n1 armv8.2a aarch64"},
		{"POWER10", "power10le", "ppc64le power8le power10le power9le", "", "power10le power9le power8le ppc64le"},
		{"own lineage of equals", "neoverse_n2", "neoverse_v2 neoverse_n2", "", "neoverse_n2 neoverse_v2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			features := facts.NewFeatures()
			features.Flags["cpu.archspec"] = strings.Fields(tt.runs)
			features.Attributes["cpu.microarchitecture"] = map[string]string{"name": tt.cpu}
			for _, target := range strings.Fields(tt.unsure) {
				features.Unknown["cpu.archspec/"+target] = "a feature is missing"
			}
			known := facts.New("linux", "amd64", features)
			targets := append(strings.Fields(tt.unsure), strings.Fields(tt.runs)...)
			var candidates []selector.Candidate
			for _, target := range targets {
				reqs := []compat.Requirement{req("cpu.archspec", target, compat.Exists)}
				candidates = append(candidates, selector.Candidate{Verdict: selector.Evaluate(known, reqs)})
			}
			var got []string
			for _, i := range selector.Order(candidates) {
				got = append(got, targets[i])
			}
			if !slices.Equal(got, strings.Fields(tt.want)) {
				t.Errorf("order %v, want %s", got, tt.want)
			}
		})
	}
}

// TestTargetAndLevelCompare: a target that an artifact states and a level that a
// platform declares are on one scale.
func TestTargetAndLevelCompare(t *testing.T) {
	t.Parallel()
	known := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.archspec": {"zen2", "x86_64_v3"}},
		Attributes: map[string]map[string]string{"cpu.microarchitecture": {"name": "zen2"}},
	})
	zen2 := selector.Candidate{Level: 1, Verdict: selector.Evaluate(known, []compat.Requirement{req("cpu.archspec", "zen2", compat.Exists)})}
	v3 := selector.Candidate{Level: 3, Verdict: selector.Evaluate(known, nil)}
	v4 := selector.Candidate{Level: 4, Verdict: selector.Evaluate(known, nil)}
	if got := selector.Order([]selector.Candidate{v3, v4, zen2}); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("order %v", got)
	}
}

// TestTargetThatIsNotKnownRefusesNothing: a later archspec has CPUs that this version has not.
func TestTargetThatIsNotKnownRefusesNothing(t *testing.T) {
	t.Parallel()
	known := facts.New("linux", "amd64", facts.Features{Flags: map[string][]string{"cpu.archspec": {"zen2"}}})
	for target, want := range map[string]selector.Outcome{"zen2": fits, "zen4": unfit, "zen99": unknown} {
		v := selector.Evaluate(known, []compat.Requirement{req("cpu.archspec", target, compat.Exists)})
		if v.Outcome != want {
			t.Errorf("%s: %s, want %s (%s)", target, v.Outcome, want, v.Reason())
		}
	}
}
