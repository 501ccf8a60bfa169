package selector_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
	"github.com/imagefit/imagefit/pkg/selector"
)

func candidate(outcome selector.Outcome, score, declared, implied, met int) selector.Candidate {
	return selector.Candidate{
		Verdict: selector.Verdict{Outcome: outcome, Score: score, Closeness: closenessOfLevel(implied), Met: met}, Level: declared,
	}
}

// closenessOfLevel is what the requirement of an x86-64 level implies.
func closenessOfLevel(level int) int {
	if level == 1 {
		return archspec.Specificity("x86_64")
	}
	return archspec.Specificity(fmt.Sprintf("x86_64_v%d", min(level, 4)))
}

func prior(c selector.Candidate, places ...int) selector.Candidate {
	c.Priorities = places
	return c
}

// Each rule decides where those before it tie, and wins over
// all that come after it.
func TestEachRuleOfTheOrderWinsOverThoseAfterIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		better, worse selector.Candidate
	}{
		{"1 known before unknown", candidate(fits, 0, 0, 0, 0), candidate(unknown, 9, 9, 9, 9)},
		{"1 known before a priority", candidate(fits, 0, 0, 0, 0), prior(candidate(unknown, 9, 9, 9, 9), 0)},
		{"2 priority", prior(candidate(fits, 0, 0, 0, 0), 0), prior(candidate(fits, 9, 9, 9, 9), 1)},
		{"2 priority before none", prior(candidate(fits, 0, 0, 0, 0), 7), candidate(fits, 9, 9, 9, 9)},
		{"2 second priority", prior(candidate(fits, 0, 0, 0, 0), 0, 2), prior(candidate(fits, 9, 9, 9, 9), 0, 3, 4)},
		{"2 more priorities", prior(candidate(fits, 0, 0, 0, 0), 0, 2), prior(candidate(fits, 9, 9, 9, 9), 0)},
		{"3 score", candidate(fits, 2, 0, 0, 0), candidate(fits, 1, 9, 9, 9)},
		{"3 score among unknown", candidate(unknown, 2, 0, 0, 0), candidate(unknown, 1, 9, 9, 9)},
		{"4 declared level", candidate(fits, 1, 3, 0, 0), candidate(fits, 1, 2, 0, 9)},
		{"4 implied level", candidate(fits, 1, 1, 3, 0), candidate(fits, 1, 2, 1, 9)},
		{"5 met", candidate(fits, 1, 3, 1, 5), candidate(fits, 1, 1, 3, 4)},
		{"6 the order of the index", candidate(fits, 1, 3, 3, 5), candidate(fits, 1, 3, 3, 5)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := selector.Order([]selector.Candidate{tt.better, tt.worse}); !slices.Equal(got, []int{0, 1}) {
				t.Errorf("better first: got %v", got)
			}
			if tt.name[0] == '6' {
				return
			}
			if got := selector.Order([]selector.Candidate{tt.worse, tt.better}); !slices.Equal(got, []int{1, 0}) {
				t.Errorf("better last: got %v", got)
			}
		})
	}
}

func TestOrderLeavesOutWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		candidates []selector.Candidate
		want       []int
	}{
		{"none", nil, []int{}},
		{"all unfit", []selector.Candidate{candidate(unfit, 9, 9, 9, 9), candidate(unfit, 0, 0, 0, 0)}, []int{}},
		{"unfit with the best score", []selector.Candidate{candidate(unfit, 9, 9, 9, 9), candidate(unknown, 0, 0, 0, 0), candidate(fits, 0, 0, 0, 0)}, []int{2, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := selector.Order(tt.candidates); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// rank is what rules 1 to 4 look at.
func rank(c selector.Candidate) [4]int {
	return [4]int{int(c.Verdict.Outcome), c.Verdict.Score, max(closenessOfLevel(c.Level), c.Verdict.Closeness), c.Verdict.Met}
}

// The order holds all that may run exactly once, is the
// same every time, is sorted by the rules, and puts equals in index order. In
// any permutation of the input the same candidates come in the same order, but
// for those that are equal.
func TestOrderIsTotalAndDeterministic(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		candidates := make([]selector.Candidate, random.IntN(12))
		for i := range candidates {
			candidates[i] = candidate(selector.Outcome(random.IntN(3)), random.IntN(3), random.IntN(3), random.IntN(3), random.IntN(3))
		}
		order := selector.Order(candidates)
		checkOrder(t, candidates, order)
		if again := selector.Order(candidates); !slices.Equal(order, again) {
			t.Fatalf("round %d: %v and then %v", round, order, again)
		}
		perm := random.Perm(len(candidates))
		shuffled := make([]selector.Candidate, len(candidates))
		for i, p := range perm {
			shuffled[i] = candidates[p]
		}
		for i, j := range selector.Order(shuffled) {
			if rank(shuffled[j]) != rank(candidates[order[i]]) {
				t.Fatalf("round %d: place %d is %v, and %v when the input is shuffled", round, i, rank(candidates[order[i]]), rank(shuffled[j]))
			}
		}
	}
}

func checkOrder(t *testing.T, candidates []selector.Candidate, order []int) {
	t.Helper()
	var runnable []int
	for i, c := range candidates {
		if c.Verdict.Outcome != unfit {
			runnable = append(runnable, i)
		}
	}
	if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, runnable) {
		t.Fatalf("order %v does not hold exactly %v", order, runnable)
	}
	for i := range max(0, len(order)-1) {
		a, b := rank(candidates[order[i]]), rank(candidates[order[i+1]])
		switch slices.Compare(a[:], b[:]) {
		case -1:
			t.Fatalf("%v stands before %v", a, b)
		case 0:
			if order[i] > order[i+1] {
				t.Fatalf("equal candidates %d and %d are not in index order", order[i], order[i+1])
			}
		}
	}
}

// requirements returns n requirements of every kind that the node satisfies.
func requirements(n int) (*facts.Facts, []compat.Requirement) {
	facts := facts.New("linux", "amd64", facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX2"}},
		Attributes: map[string]map[string]string{"kernel.version": {"full": "6.8.0-31-generic"}, "kernel.selinux": {"enabled": "true"}},
		Instances:  map[string][]map[string]string{"network.device": {{"sriov_totalvfs": "0"}, {"sriov_totalvfs": "64"}}},
	})
	kinds := []compat.Requirement{
		req("cpu.cpuid", "AVX2", compat.Exists),
		req("kernel.version", "full", compat.Ge, "5.14.0"),
		req("kernel.selinux", "enabled", compat.IsTrue),
		req("network.device", "sriov_totalvfs", compat.Gt, "0"),
		req("kernel.version", "full", compat.NotIn, "6.8.0"),
	}
	reqs := make([]compat.Requirement, n)
	for i := range reqs {
		reqs[i] = kinds[i%len(kinds)]
	}
	return facts, reqs
}

// All the checks take one allocation, however many there are.
func TestSatisfiedRequirementsAllocateOnce(t *testing.T) {
	for _, n := range []int{1, 50, 1000} {
		facts, reqs := requirements(n)
		half := len(reqs) / 2
		trees := []compat.Requirement{tree(compat.AllOf, reqs[:half]...), tree(compat.AnyOf, tree(compat.AllOf, reqs[half:]...), reqs[0])}
		for name, reqs := range map[string][]compat.Requirement{"flat": reqs, "trees": trees} {
			if v := selector.Evaluate(facts, reqs); v.Outcome != fits {
				t.Fatal(v.Reason())
			}
			if got := testing.AllocsPerRun(100, func() { selector.Evaluate(facts, reqs) }); got != 1 {
				t.Errorf("to evaluate %d %s requirements allocates %v times, want once", n, name, got)
			}
		}
	}
}

// BenchmarkChoose evaluates and orders candidates with 50 requirements each, all
// of which hold.
func BenchmarkChoose(b *testing.B) {
	facts, reqs := requirements(50)
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("candidates=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			candidates := make([]selector.Candidate, n)
			for b.Loop() {
				for i := range candidates {
					candidates[i] = selector.Candidate{Verdict: selector.Evaluate(facts, reqs), Level: i % 5}
				}
				selector.Order(candidates)
			}
		})
	}
}
