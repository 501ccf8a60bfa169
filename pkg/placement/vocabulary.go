package placement

import (
	"context"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
)

// maxVocabulary bounds the conditions that nodes get tokens for.
const maxVocabulary = 1_000

// Vocabulary are the conditions that nodes get tokens for beside that of their class: the
// architectures, the levels of x86-64, and what images ask for.
type Vocabulary struct {
	conditions map[string]condition
	left       int // conditions beyond the bound
}

// NewVocabulary returns the conditions that nodes are told apart by whatever the images are.
func NewVocabulary() *Vocabulary {
	v := &Vocabulary{conditions: map[string]condition{}}
	for _, c := range always() {
		v.add(c)
	}
	return v
}

// Vocabulary returns these conditions, and those that images ask for.
func (e *Evaluator) Vocabulary(ctx context.Context, images ...*decision.Needs) *Vocabulary {
	v := NewVocabulary()
	asker := e.decisions.Asker(e.rules, func(reqs []compat.Requirement) {
		for i := range reqs {
			v.asked(&reqs[i])
		}
	})
	for _, n := range images {
		for p := range n.Platforms() {
			if c, err := ofPlatform(p); err == nil {
				v.add(c)
			}
		}
		asker.Ask(ctx, n)
	}
	return v
}

// add adds a condition. Of two that have one name neither gets a token.
func (v *Vocabulary) add(c condition) {
	switch known, there := v.conditions[c.token]; {
	case !there && len(v.conditions) >= maxVocabulary:
		v.left++
	case !there:
		v.conditions[c.token] = c
	case known.meaning != c.meaning:
		v.conditions[c.token] = condition{token: c.token, holds: func(*facts.Facts) bool { return false }}
	}
}

// asked adds what a requirement asks for, in parts where it is made of others.
func (v *Vocabulary) asked(r *compat.Requirement) {
	if _, err := alternativesOf(r, func(c condition) { v.add(c) }); err != nil {
		return // it is asked for by class
	}
}

// Left is how many conditions have no token because there are too many.
func (v *Vocabulary) Left() int { return v.left }

// Tokens returns the tokens that nodes with these facts have beside that of their class,
// sorted: one for each condition that they are not known to fail.
func (v *Vocabulary) Tokens(f *facts.Facts) []string {
	tokens := ofFacts(f)
	for token, c := range v.conditions {
		if c.holds(f) {
			tokens = append(tokens, token)
		}
	}
	slices.Sort(tokens)
	return slices.Compact(tokens)
}

// Tokens are the tokens of the nodes of each class beside that of the class.
type Tokens map[string][]string

// Of returns all tokens of a class, its own first.
func (t Tokens) Of(id string) []string { return append([]string{Token(id)}, t[id]...) }

// all returns the tokens that the nodes of some class have.
func (t Tokens) all() map[string]bool {
	all := map[string]bool{}
	for _, tokens := range t {
		for _, token := range tokens {
			all[token] = true
		}
	}
	return all
}

// maxAlternatives bounds the alternatives of an expression.
const maxAlternatives = 64

// alternativesOf returns the alternatives of conditions that a requirement comes down to;
// one without conditions holds everywhere, none at all nowhere. Each condition is shown to
// visit.
func alternativesOf(r *compat.Requirement, visit func(c condition)) ([][]condition, error) {
	switch {
	case r.Unclear != "" && r.Strict:
		return nil, nil
	case r.Unclear != "":
		return [][]condition{nil}, nil // unknown on every node
	case r.Set == "rule.matched" || r.Combine == compat.Leaf && r.Name != nil:
		return nil, notWritable(r)
	case r.Newer == nil && r.Combine == compat.AllOf && !r.Not && r.Each == nil:
		return allOf(r.Parts, visit)
	case r.Newer == nil && r.Combine == compat.AnyOf && !r.Not && r.Each == nil:
		var union [][]condition
		for i := range r.Parts {
			part, err := alternativesOf(&r.Parts[i], visit)
			if err != nil {
				return nil, err
			}
			union = append(union, part...)
		}
		return simplified(union)
	case r.Newer == nil && r.Combine != compat.Leaf:
		return nil, notWritable(r)
	case isAnyOneOf(r):
		return oneOf(r, visit)
	}
	c, err := ofRequirement(r)
	if err != nil {
		return nil, err
	}
	visit(c)
	return [][]condition{{c}}, nil
}

// isAnyOneOf reports whether a requirement is that an element has one of several values.
func isAnyOneOf(r *compat.Requirement) bool {
	return r.Combine == compat.Leaf && len(r.Terms) == 1 && r.Terms[0].Op == compat.In && len(r.Terms[0].Values) > 1 && !r.Not && len(r.May) == 0
}

// oneOf makes a requirement of each value.
func oneOf(r *compat.Requirement, visit func(c condition)) ([][]condition, error) {
	var union [][]condition
	for _, value := range r.Terms[0].Values {
		one := *r
		one.Terms = []compat.Term{{Element: r.Terms[0].Element, Op: compat.In, Values: []string{value}}}
		c, err := ofRequirement(&one)
		if err != nil {
			return nil, err
		}
		visit(c)
		union = append(union, []condition{c})
	}
	return simplified(union)
}

// allOf returns the alternatives of requirements that must hold together.
func allOf(reqs []compat.Requirement, visit func(c condition)) ([][]condition, error) {
	all := [][]condition{nil}
	for i := range reqs {
		if reqs[i].Importance != compat.Required {
			continue
		}
		part, err := alternativesOf(&reqs[i], visit)
		if err != nil {
			return nil, err
		}
		if all, err = both(all, part); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// both returns the alternatives of two that must hold together.
func both(a, b [][]condition) ([][]condition, error) {
	if len(a)*len(b) > maxAlternatives*maxAlternatives {
		return nil, errTooMany()
	}
	var all [][]condition
	for _, x := range a {
		for _, y := range b {
			all = append(all, slices.Concat(x, y))
		}
	}
	return simplified(all)
}

func errTooMany() error { return fmt.Errorf("it has more than %d alternatives", maxAlternatives) }

// simplified leaves out conditions that follow from others, and alternatives that are
// narrower than others.
func simplified(alternatives [][]condition) ([][]condition, error) {
	var kept [][]condition
	for _, all := range alternatives {
		all = withoutImplied(all)
		if slices.ContainsFunc(kept, func(other []condition) bool { return narrower(all, other) }) {
			continue
		}
		kept = append(slices.DeleteFunc(kept, func(other []condition) bool { return narrower(other, all) }), all)
	}
	if len(kept) > maxAlternatives {
		return nil, errTooMany()
	}
	return kept, nil
}

func withoutImplied(all []condition) []condition {
	var kept []condition
	for i, c := range all {
		implied := false
		for j, other := range all {
			// Of two that imply each other the first stays.
			implied = implied || i != j && other.implies(c) && (!c.implies(other) || j < i)
		}
		if !implied {
			kept = append(kept, c)
		}
	}
	return kept
}

// narrower reports whether all that a asks for contains all that b asks for.
func narrower(a, b []condition) bool {
	return !slices.ContainsFunc(b, func(want condition) bool {
		return !slices.ContainsFunc(a, func(have condition) bool { return have.implies(want) })
	})
}
