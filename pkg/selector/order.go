package selector

import (
	"cmp"
	"slices"
)

// Candidate is what the order of candidates looks at.
type Candidate struct {
	Verdict Verdict
	Level   int // micro-architecture level that the platform declares
	// Priorities are the places in the author's list of priorities that the candidate
	// takes, ascending.
	Priorities []int
}

// Order returns the indices of the candidates that may run, best first. The
// order is total: those that do not fit are out, then
//
//  1. all known before some unknown,
//  2. the author's priorities: the first place that one takes and the other does
//     not, and of two that take the same places the one that takes more,
//  3. the higher sum of the preferences that hold,
//  4. the CPU target closer to the node's CPU, declared by the platform or
//     implied by what is required,
//  5. more required attributes that hold,
//  6. the order of the index.
func Order(candidates []Candidate) []int {
	order := make([]int, 0, len(candidates))
	for i, c := range candidates {
		if c.Verdict.Outcome != Unfit {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(Compare(candidates[i], candidates[j]), cmp.Compare(i, j))
	})
	return order
}

// Compare is negative where a is the better choice, and 0 where only the order of the
// index is between them. What is compared may be the choices on two nodes.
func Compare(a, b Candidate) int {
	return cmp.Or(
		-cmp.Compare(a.Verdict.Outcome, b.Verdict.Outcome),
		comparePriorities(a.Priorities, b.Priorities),
		-cmp.Compare(a.Verdict.Score, b.Verdict.Score),
		-cmp.Compare(a.closeness(), b.closeness()),
		-cmp.Compare(a.Verdict.Met, b.Verdict.Met),
	)
}

// comparePriorities is negative where a goes first.
func comparePriorities(a, b []int) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return -cmp.Compare(len(a), len(b))
}

func (c Candidate) closeness() int {
	return max(levelCloseness(c.Level), c.Verdict.Closeness)
}
