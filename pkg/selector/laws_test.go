package selector_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/selector"
)

// randomTree makes requirements of every shape over facts in every state.
func randomTree(r *rand.Rand, depth int) compat.Requirement {
	leaves := []compat.Requirement{
		req("cpu.cpuid", "AVX", compat.Exists), req("cpu.cpuid", "AVX2", compat.Exists), req("cpu.cpuid", "AMX", compat.Exists),
		req("kernel.version", "full", compat.Ge, "5.4"), req("kernel.version", "odd", compat.Ge, "1"),
		req("pci.device", "vendor", compat.In, "10de"), req("network.device", "speed", compat.Ge, "1"),
		{Key: "g/k", Unclear: "why"},
	}
	tree := leaves[r.IntN(len(leaves))]
	if combine := compat.Combine(r.IntN(5)); depth > 0 && combine != compat.Leaf {
		tree = compat.Requirement{Key: "tree", Combine: combine}
		for range r.IntN(4) {
			tree.Parts = append(tree.Parts, randomTree(r, depth-1))
		}
	}
	tree.Not = r.IntN(4) == 0
	tree.Weight = r.IntN(5)
	return tree
}

func tree(combine compat.Combine, parts ...compat.Requirement) compat.Requirement {
	return compat.Requirement{Key: "tree", Combine: combine, Parts: parts}
}

func outcome(t *testing.T, r compat.Requirement) selector.Outcome {
	t.Helper()
	return selector.Evaluate(testNode(), []compat.Requirement{r}).Outcome
}

// opposites returns each requirement turned round. An unclear one cannot be: it
// is unknown both ways.
func opposites(parts []compat.Requirement) []compat.Requirement {
	turned := make([]compat.Requirement, len(parts))
	for i, p := range parts {
		turned[i] = p
		turned[i].Not = !p.Not
	}
	return turned
}

// The laws of three-valued logic that combinations of requirements
// obey, on random ones.
func TestThreeValuedLogicObeysItsLaws(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 2000 {
		parts := make([]compat.Requirement, r.IntN(4))
		for i := range parts {
			parts[i] = randomTree(r, 2)
		}
		same := func(law string, a, b compat.Requirement) {
			if x, y := outcome(t, a), outcome(t, b); x != y {
				t.Errorf("round %d: %s: %s and %s\n%s\n%s", round, law, x, y, a.Want(), b.Want())
			}
		}
		all, anyOf, none, one := tree(compat.AllOf, parts...), tree(compat.AnyOf, parts...), tree(compat.NoneOf, parts...), tree(compat.OneOf, parts...)
		same("not all of = any not", not(all), tree(compat.AnyOf, opposites(parts)...))
		same("not any of = all not", not(anyOf), tree(compat.AllOf, opposites(parts)...))
		same("none of = not any of", none, not(anyOf))
		same("all of = none of the opposites", all, tree(compat.NoneOf, opposites(parts)...))
		same("all of all = all of", all, tree(compat.AllOf, all))
		same("any of any = any of", anyOf, tree(compat.AnyOf, anyOf))
		same("twice the same in all of", all, tree(compat.AllOf, append(parts, parts...)...))
		same("twice the same in any of", anyOf, tree(compat.AnyOf, append(parts, parts...)...))
		if len(parts) == 1 {
			same("one of one = it", one, parts[0])
		}
		if len(parts) == 2 {
			a, b := parts[0], parts[1]
			turned := opposites(parts)
			same("one of two = exclusive or", one, tree(compat.AnyOf, tree(compat.AllOf, a, turned[1]), tree(compat.AllOf, turned[0], b)))
			same("all of commutes", all, tree(compat.AllOf, b, a))
			same("any of commutes", anyOf, tree(compat.AnyOf, b, a))
		}
		if outcome(t, one) == fits && outcome(t, anyOf) != fits {
			t.Errorf("round %d: one of holds, any of does not: %s", round, one.Want())
		}
	}
}

// pruned is a tree that leaves out all that can no longer change its outcome.
func pruned(r compat.Requirement) compat.Requirement {
	r.Prune, r.Parts = true, slices.Clone(r.Parts)
	for i := range r.Parts {
		r.Parts[i] = pruned(r.Parts[i])
	}
	return r
}

func TestPruningChangesNoChoiceAndReasonsExplainOutcomes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 5000 {
		reqs := make([]compat.Requirement, r.IntN(5))
		for i := range reqs {
			reqs[i] = randomTree(r, 3)
			reqs[i].Importance = compat.Importance(r.IntN(3))
			reqs[i].Strict = r.IntN(4) == 0
		}
		short := make([]compat.Requirement, len(reqs))
		for i := range reqs {
			short[i] = pruned(reqs[i])
		}
		full, quick := selector.Evaluate(testNode(), reqs), selector.Evaluate(testNode(), short)
		full.Checks, quick.Checks = nil, nil
		if full.Outcome == unfit {
			quick.Score, quick.Closeness, quick.Met = full.Score, full.Closeness, full.Met // mean nothing
		}
		if fmt.Sprint(full) != fmt.Sprint(quick) {
			t.Fatalf("round %d: evaluated %v, pruned %v", round, full, quick)
		}
		if v := selector.Evaluate(testNode(), reqs); (v.Reason() == "") != (v.Outcome == fits) {
			t.Fatalf("round %d: %s, for the reason %q", round, v.Outcome, v.Reason())
		}
	}
}
