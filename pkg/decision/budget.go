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

	steps int      // that it takes altogether: at first to parse it, more once it is measured
	paid  int      // of these, those that were taken from the budget of the pull
	image int      // for which they were paid
	found *finding // once it was evaluated, for all images that share it

	measured bool                 // its requirements were counted
	parsed   bool                 // reqs are there, until the image is evaluated
	reqs     []compat.Requirement // what it requires
	problem  string               // why it is too costly for the image that is evaluated
}

// withinBudget evaluates the bodies of one image. Those that are cheap come first, so that
// a costly one takes nothing from the others; what goes beyond the budget is too costly,
// and the policy answers. A body that images share counts for each of them, as if there
// were no other, and costs the pull nothing but the first time.
func (e *evaluation) withinBudget(bodies []*body) {
	for _, b := range bodies {
		if b.image != e.image { // in a session each image pays
			b.image, b.paid = e.image, 0
		}
	}
	e.measureWithin(bodies)
	left := selector.MaxImageSteps
	byCost := slices.SortedStableFunc(slices.Values(bodies), func(a, b *body) int { return cmp.Compare(a.steps, b.steps) })
	for _, b := range byCost {
		if b.problem == "" {
			b.problem = tooCostly(b.steps, min(left, e.left+b.paid))
		}
		if b.problem == "" {
			left -= b.steps
			e.find(b)
		}
		b.parsed, b.reqs = false, nil
		if b.found == nil {
			b.paid = 0 // another image for which it is not too costly pays again
		}
	}
}

// measureWithin parses the bodies that were not measured before, the small ones first, as
// long as there are steps left for it, and counts what each of them takes altogether.
func (e *evaluation) measureWithin(bodies []*body) {
	left := selector.MaxImageSteps
	bySize := slices.SortedStableFunc(slices.Values(bodies), func(a, b *body) int { return cmp.Compare(a.size, b.size) })
	for _, b := range bySize {
		cost := selector.ParseCost(b.size)
		b.steps = max(b.steps, cost)
		if b.problem = tooCostly(cost, left); b.problem != "" {
			continue
		}
		left -= cost
		if b.measured {
			continue
		}
		if b.problem = tooCostly(cost, e.left); b.problem == "" {
			e.left -= cost
			b.paid = cost
			e.parseBody(b)
			b.measured, b.steps = true, cost+selector.Cost(e.Facts, b.reqs)
		}
	}
}

// find evaluates a body that is within the budget, unless another image had it evaluated.
func (e *evaluation) find(b *body) {
	e.left -= b.steps - b.paid
	b.paid = b.steps
	if b.found != nil {
		return
	}
	e.parseBody(b)
	found := e.evaluate(b.reqs)
	b.found = &found
}

func (e *evaluation) parseBody(b *body) {
	if !b.parsed {
		b.parsed, b.reqs = true, e.noted(b.parse())
	}
}

// parsedBytes is how many bytes withinBudget parses at most.
func parsedBytes(bodies []*body) int {
	n := 0
	for _, b := range bodies {
		if b.found == nil && selector.ParseCost(b.size) <= selector.MaxBodySteps {
			n += b.size
		}
	}
	return min(n, selector.MaxImageSteps/selector.ParseCost(1))
}

// findingOf is what is found of a body, or the answer of the policy.
func (e *evaluation) findingOf(b *body) finding {
	if b.problem != "" {
		return e.evaluate([]compat.Requirement{e.tooCostly(b)})
	}
	return *b.found
}

// requirementsOf parses a body of an evaluated image once more, where its requirements are
// to be seen beside others, or returns the answer of the policy.
func (e *evaluation) requirementsOf(b *body) []compat.Requirement {
	if b.problem != "" {
		return []compat.Requirement{e.tooCostly(b)}
	}
	e.left -= selector.ParseCost(b.size)
	return b.parse()
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
