package decision

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/selector"
)

// body is one thing that states requirements of an image: the body of an artifact, or
// the entry of the index itself.
type body struct {
	key      string
	manifest digest.Digest // of the artifact
	size     int           // in bytes
	parse    func() []compat.Requirement

	reqs    []compat.Requirement
	steps   int
	problem string // why it is too costly
}

// withinBudget returns what the bodies of one image require. Those that are cheap are
// evaluated first, so that a costly one takes nothing from the others; what goes
// beyond the budget is too costly, and the policy answers.
func (e *evaluation) withinBudget(bodies []*body) []compat.Requirement {
	left := min(selector.MaxImageSteps, e.left)
	e.parseWithin(left, bodies)
	byCost := slices.SortedStableFunc(slices.Values(bodies), func(a, b *body) int { return cmp.Compare(a.steps, b.steps) })
	for _, b := range byCost {
		if b.problem == "" {
			b.problem = tooCostly(b.steps, left)
		}
		if b.problem == "" {
			left -= b.steps
			e.left -= b.steps
		}
	}
	var reqs []compat.Requirement
	for _, b := range bodies {
		if b.problem != "" {
			b.reqs = []compat.Requirement{e.tooCostly(b)}
		}
		reqs = append(reqs, b.reqs...)
	}
	return reqs
}

// parseWithin parses the bodies, the small ones first, as long as there are steps left
// for it, and counts what each of them takes altogether.
func (e *evaluation) parseWithin(left int, bodies []*body) {
	bySize := slices.SortedStableFunc(slices.Values(bodies), func(a, b *body) int { return cmp.Compare(a.size, b.size) })
	for _, b := range bySize {
		b.steps = selector.ParseCost(b.size)
		if b.problem = tooCostly(b.steps, left); b.problem == "" {
			left -= b.steps
			b.reqs = b.parse()
			b.steps += selector.Cost(e.Facts, b.reqs)
		}
	}
}

// tooCostly returns why a body of that many steps is not evaluated while so many are
// left, or "".
func tooCostly(steps, left int) string {
	switch {
	case steps > selector.MaxBodySteps:
		return selector.TooCostly(steps, selector.MaxBodySteps)
	case steps > left:
		return selector.TooCostly(steps, left) + " that are left for the image"
	}
	return ""
}

// tooCostly is the requirement in the place of what is too costly. Whether a node
// meets it is unknown.
func (e *evaluation) tooCostly(b *body) compat.Requirement {
	e.arose.TooCostly = true
	e.note(unreadable{b.manifest, Line(b.problem), true})
	req := compat.Requirement{Key: b.key, Unclear: Line(b.problem)}
	answer(e.answers.TooCostly, &req)
	return req
}
