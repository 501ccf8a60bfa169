package selector_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Requirements may be evaluated in groups: together they come out as if they were one.
func TestVerdictsOnPartsAddUpToThatOnTheWhole(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 2000 {
		reqs := make([]compat.Requirement, r.IntN(30))
		for i := range reqs {
			reqs[i] = randomTree(r, 1)
			reqs[i].Importance = compat.Importance(r.IntN(3))
		}
		whole := selector.Evaluate(testNode(), reqs)
		parts := selector.Evaluate(testNode(), nil)
		for group := range slices.Chunk(reqs, 1+r.IntN(9)) {
			verdict := selector.Evaluate(testNode(), group)
			if r.IntN(2) == 0 {
				verdict = verdict.Brief()
			}
			parts = parts.And(verdict)
		}
		for name, got := range map[string]selector.Verdict{"in parts": parts, "in brief": whole.Brief()} {
			if got.Outcome != whole.Outcome || got.Score != whole.Score || got.Closeness != whole.Closeness || got.Met != whole.Met || len(got.Checks) != 0 {
				t.Fatalf("round %d, %s: %+v, want %+v", round, name, got, whole)
			}
			if got.Reason() != whole.Reason() {
				t.Fatalf("round %d, %s: %q, want %q", round, name, got.Reason(), whole.Reason())
			}
		}
	}
}
