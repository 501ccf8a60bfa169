package selector_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/selector"
)

var (
	yes   = req("cpu.cpuid", "AVX", compat.Exists)
	no    = req("cpu.cpuid", "AVX2", compat.Exists)
	maybe = req("cpu.cpuid", "AMX", compat.Exists)
)

func weighing(n int, r compat.Requirement) compat.Requirement { r.Weight = n; return r }

func important(i compat.Importance, r compat.Requirement) compat.Requirement {
	r.Importance = i
	return r
}

// The truth tables of the combinations, and what counts for score,
// level and how much is met.
func TestCombinedRequirementsAreEvaluated(t *testing.T) {
	t.Parallel()
	const all, anyOf, one, none = compat.AllOf, compat.AnyOf, compat.OneOf, compat.NoneOf
	v4, v3, v2 := req("cpu.cpuid", "AVX512F", compat.Exists), no, req("cpu.cpuid", "SSE42", compat.Exists)
	tests := []struct {
		name              string
		req               compat.Requirement
		want              selector.Outcome
		score, level, met int
	}{
		{"all of nothing", tree(all), fits, 0, 0, 0},
		{"any of nothing", tree(anyOf), unfit, 0, 0, 0},
		{"one of nothing", tree(one), unfit, 0, 0, 0},
		{"none of nothing", tree(none), fits, 0, 0, 0},
		{"all of: unknown and no", tree(all, maybe, no), unfit, 0, 3, 0},
		{"all of: unknown and yes", tree(all, maybe, yes), unknown, 0, 3, 1},
		{"any of: unknown and yes", tree(anyOf, maybe, yes), fits, 0, 0, 1},
		{"any of: unknown and no", tree(anyOf, maybe, no), unknown, 0, 0, 0},
		{"one of: two yes", tree(one, yes, yes), unfit, 0, 3, 0},
		{"one of: two yes of three, one unknown", tree(one, yes, maybe, yes), unfit, 0, 0, 0},
		{"one of: yes and unknown", tree(one, yes, maybe), unknown, 0, 0, 0},
		{"one of: yes and no", tree(one, yes, no), fits, 0, 3, 1},
		{"none of: no and unknown", tree(none, no, maybe), unknown, 0, 0, 0},
		{"none of: yes and unknown", tree(none, yes, maybe), unfit, 0, 0, 0},
		{"none of: no", tree(none, no), fits, 0, 0, 1},
		{"a preferred part only adds", tree(all, yes, important(compat.Preferred, weighing(4, no)), important(compat.Preferred, weighing(2, yes))), fits, 2, 3, 1},
		{"an informative part says nothing", tree(all, important(compat.Informative, weighing(4, yes)), important(compat.Informative, no)), fits, 0, 0, 0},
		{"the best way that holds", tree(anyOf, weighing(9, tree(all, no)), weighing(3, tree(all, yes)), weighing(5, tree(all, yes, v2))), fits, 5, 3, 2},
		{"of equal weight the one with more met", tree(anyOf, tree(all, yes), tree(all, yes, v2)), fits, 0, 3, 2},
		{"a weight below zero", tree(anyOf, weighing(-3, tree(all, yes))), fits, -3, 3, 1},
		{"a way that is unknown gives nothing", tree(anyOf, weighing(9, maybe), weighing(1, yes)), fits, 1, 0, 1},
		{"weights add up the tree", weighing(1, tree(all, weighing(2, tree(anyOf, weighing(4, yes), weighing(8, no))))), fits, 7, 3, 1},
		{"the level of all is the highest", tree(all, v2, v4), unfit, 0, 4, 1},
		{"the level of any is the lowest", tree(anyOf, v4, v3), unfit, 0, 3, 0},
		{"no level where one way implies none", tree(anyOf, v4, maybe), unknown, 0, 0, 0},
		{"no level of what must not be", tree(none, v4), fits, 0, 0, 1},
		{"no level of what is turned round", not(tree(all, v4)), fits, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(testNode(), []compat.Requirement{tt.req})
			if v.Outcome != tt.want || v.Score != tt.score || v.Closeness != closenessOfLevel(tt.level) || v.Met != tt.met {
				t.Errorf("got %s, score %d, level %d, met %d; want %s, %d, %d, %d (%s)",
					v.Outcome, v.Score, v.Closeness, v.Met, tt.want, tt.score, closenessOfLevel(tt.level), tt.met, v.Reason())
			}
			if len(v.Checks[0].Parts) != len(tt.req.Parts) {
				t.Errorf("%d checks of %d parts", len(v.Checks[0].Parts), len(tt.req.Parts))
			}
		})
	}
}

// Policy can take what is unclear for unfit, also deep in a tree,
// and never so that something holds because of it.
func TestStrictMakesWhatIsUnclearUnfit(t *testing.T) {
	t.Parallel()
	unclear := compat.Requirement{Key: "g/k", Unclear: "why"}
	strict := unclear
	strict.Strict = true
	tests := []struct {
		name         string
		loose, tight compat.Requirement
		want         [2]selector.Outcome
	}{
		{"a part of all", tree(compat.AllOf, yes, unclear), tree(compat.AllOf, yes, strict), [2]selector.Outcome{unknown, unfit}},
		{"a way of any", tree(compat.AnyOf, no, unclear), tree(compat.AnyOf, no, strict), [2]selector.Outcome{unknown, unfit}},
		{"beside a way that holds", tree(compat.AnyOf, yes, unclear), tree(compat.AnyOf, yes, strict), [2]selector.Outcome{fits, fits}},
		{"beside a way that is unknown", tree(compat.AnyOf, maybe, unclear), tree(compat.AnyOf, maybe, strict), [2]selector.Outcome{unknown, unknown}},
		{"in none of", tree(compat.NoneOf, unclear), tree(compat.NoneOf, strict), [2]selector.Outcome{unknown, unfit}},
		{"in one of", tree(compat.OneOf, yes, unclear), tree(compat.OneOf, yes, strict), [2]selector.Outcome{unknown, unfit}},
		{"turned round", not(tree(compat.AllOf, unclear)), not(tree(compat.AllOf, strict)), [2]selector.Outcome{unknown, unfit}},
		{"turned round twice", tree(compat.NoneOf, not(tree(compat.AllOf, unclear))), tree(compat.NoneOf, not(tree(compat.AllOf, strict))), [2]selector.Outcome{unknown, unfit}},
		{"decided without it", tree(compat.NoneOf, yes, unclear), tree(compat.NoneOf, yes, strict), [2]selector.Outcome{unfit, unfit}},
		{"said of the whole", tree(compat.AllOf, tree(compat.AnyOf, unclear)), func() compat.Requirement {
			r := tree(compat.AllOf, tree(compat.AnyOf, unclear))
			r.Strict = true
			return r
		}(), [2]selector.Outcome{unknown, unfit}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := [2]selector.Outcome{outcome(t, tt.loose), outcome(t, tt.tight)}; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The sentences that pods show of combined requirements.
func TestReasonsNameTheDecidingParts(t *testing.T) {
	t.Parallel()
	kernel := req("kernel.version", "full", compat.Ge, "6.8")
	titled := tree(compat.AllOf, yes)
	titled.Title = "the fallback"
	pruned := tree(compat.AllOf, no, kernel)
	pruned.Prune = true
	many := tree(compat.AnyOf)
	for range 30 {
		many.Parts = append(many.Parts, no)
	}
	tests := []struct {
		name         string
		req          compat.Requirement
		reason, have string
	}{
		{"all of", tree(compat.AllOf, yes, no, kernel), "needs cpu.cpuid AVX2 (absent), kernel.version >= 6.8 (is 6.1.0-13-amd64)", "cpu.cpuid AVX2 absent"},
		{"pruned", pruned, "needs cpu.cpuid AVX2 (absent)", "cpu.cpuid AVX2 absent"},
		{"any of", tree(compat.AnyOf, no, kernel), "needs one of: cpu.cpuid AVX2 (absent); kernel.version >= 6.8 (is 6.1.0-13-amd64)", "none holds"},
		{"any of, with the same fact", tree(compat.AnyOf, no, req("cpu.cpuid", "FMA3", compat.Exists)), "needs one of: cpu.cpuid AVX2; cpu.cpuid FMA3 (absent)", "none holds"},
		{"any of one", tree(compat.AnyOf, no), "needs cpu.cpuid AVX2 (absent)", "none holds"},
		{"any of, where only one may hold", tree(compat.AnyOf, no, maybe), "needs cpu.cpuid AMX (unknown: no such file)", "unknown: no such file"},
		{"any of any", tree(compat.AnyOf, no, tree(compat.AllOf, kernel, tree(compat.AnyOf, no, no))),
			"needs one of: cpu.cpuid AVX2 (absent); kernel.version >= 6.8 (is 6.1.0-13-amd64) and one of: cpu.cpuid AVX2; cpu.cpuid AVX2 (absent)", "none holds"},
		{"any of many", many, "needs one of: " + strings.Repeat("cpu.cpuid AVX2; ", 8) + "and 22 more (absent)", "none holds"},
		{"one of, none", tree(compat.OneOf, no, kernel), "needs exactly one of: cpu.cpuid AVX2; kernel.version >= 6.8 (none holds)", "none holds"},
		{"one of, two", tree(compat.OneOf, yes, yes), "needs exactly one of: cpu.cpuid AVX; cpu.cpuid AVX (more than one holds)", "more than one holds"},
		{"none of", tree(compat.NoneOf, no, yes), "needs none of: cpu.cpuid AVX2; cpu.cpuid AVX (cpu.cpuid AVX present)", "cpu.cpuid AVX present"},
		{"none of, unknown", tree(compat.NoneOf, no, maybe), "needs none of: cpu.cpuid AVX2; cpu.cpuid AMX (unknown: no such file)", "unknown: no such file"},
		{"not all of", not(tree(compat.AllOf, yes)), "needs not all of: cpu.cpuid AVX (holds)", "holds"},
		{"any of nothing", compat.Requirement{Key: "k", Title: "called so", Combine: compat.AnyOf}, "needs called so (none holds)", "none holds"},
		{"what holds is named", tree(compat.AnyOf, no, titled), "", "holds: the fallback"},
		{"what holds without a name", tree(compat.AnyOf, no, yes), "", "holds: cpu.cpuid AVX"},
		{"all that is asked", tree(compat.AllOf, yes), "", "holds"},
		{"unclear within", tree(compat.AllOf, compat.Requirement{Key: "g/k", Unclear: "nobody knows it"}), "needs g/k (unknown: nobody knows it)", "unknown: nobody knows it"},
		{"a device of two terms", compat.Requirement{Set: "pci.device", Terms: []compat.Term{term("vendor", compat.In, "0eee"), term("class", compat.In, "0200")}},
			"needs pci.device vendor=0eee and class=0200 (none found)", "none found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := selector.Evaluate(testNode(), []compat.Requirement{tt.req})
			if got := v.Reason(); got != tt.reason {
				t.Errorf("got  %s\nwant %s", got, tt.reason)
			}
			if got := v.Checks[0].Have(); got != tt.have {
				t.Errorf("has  %s\nwant %s", got, tt.have)
			}
		})
	}
}

// What comes after the part that decides is not evaluated.
func TestPrunedPartsAreNotEvaluated(t *testing.T) {
	t.Parallel()
	pruned := tree(compat.AllOf, yes, no, maybe, tree(compat.AnyOf, yes))
	pruned.Prune = true
	var got []string
	checks := selector.Evaluate(testNode(), []compat.Requirement{pruned}).Checks[0].Parts
	for i := range checks {
		got = append(got, checks[i].Outcome.String()+": "+checks[i].Requirement.Want()+" "+checks[i].Have())
	}
	want := "fits: cpu.cpuid AVX present\ndoes not fit: cpu.cpuid AVX2 absent\n" +
		"unknown: cpu.cpuid AMX not evaluated\nunknown: cpu.cpuid AVX not evaluated"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
