package selector

import (
	"cmp"
	"slices"
)

// Candidate is what the order of candidates looks at.
type Candidate struct {
	Verdict Verdict
	Level   int // micro-architecture level that the platform declares
}

// Order returns the indices of the candidates that may run, best first. The
// order is total: those that do not fit are out, then
//
//  1. all known before some unknown,
//  2. the higher sum of the preferences that hold,
//  3. the CPU target closer to the node's CPU, declared by the platform or
//     implied by what is required,
//  4. more required attributes that hold,
//  5. the order of the index.
func Order(candidates []Candidate) []int {
	order := make([]int, 0, len(candidates))
	for i, c := range candidates {
		if c.Verdict.Outcome != Unfit {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := candidates[i], candidates[j]
		return cmp.Or(
			-cmp.Compare(a.Verdict.Outcome, b.Verdict.Outcome),
			-cmp.Compare(a.Verdict.Score, b.Verdict.Score),
			-cmp.Compare(a.closeness(), b.closeness()),
			-cmp.Compare(a.Verdict.Met, b.Verdict.Met),
			cmp.Compare(i, j),
		)
	})
	return order
}

func (c Candidate) closeness() int {
	return max(levelCloseness(c.Level), c.Verdict.Closeness)
}
