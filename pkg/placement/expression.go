package placement

import (
	"slices"
	"strings"
)

// Expression is what a node must have for a job: all tokens of one of the alternatives.
type Expression [][]string

// AnyOf is the expression of classes. Without any it holds on no node.
func AnyOf(ids []string) Expression {
	e := Expression{}
	for _, id := range ids {
		e = append(e, []string{Token(id)})
	}
	return e.orNone()
}

func (e Expression) orNone() Expression {
	if len(e) == 0 {
		return Expression{{NoClass}}
	}
	return e
}

// Holds reports whether a node with these tokens has what is asked for.
func (e Expression) Holds(tokens []string) bool {
	return slices.ContainsFunc(e, func(all []string) bool {
		return !slices.ContainsFunc(all, func(t string) bool { return !slices.Contains(tokens, t) })
	})
}

// String writes the expression with & and |, as Slurm and Flux (RFC 35) read it. Slurm
// reads from the left to the right, and one level of parentheses.
func (e Expression) String() string {
	words := make([]string, len(e))
	for i, all := range e {
		if words[i] = strings.Join(all, "&"); len(all) > 1 && len(e) > 1 {
			words[i] = "(" + words[i] + ")"
		}
	}
	return strings.Join(words, "|")
}
