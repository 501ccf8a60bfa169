// Package flux writes where images can run for Flux, whose resources have properties:
// constraints of jobs (RFC 31, RFC 35) and the properties of nodes, as configuration, as a
// resource set (RFC 20) and as a graph (JGF).
package flux

import (
	"strings"

	"github.com/imagefit/imagefit/pkg/placement"
)

// Constraint is a constraint of RFC 31, as far as it is made of properties.
type Constraint struct {
	Properties []string     `json:"properties,omitempty"`
	Or         []Constraint `json:"or,omitempty"`
}

// ConstraintOf returns what nodes must have for a job with the images: the value of
// attributes.system.constraints in a jobspec.
func ConstraintOf(a placement.Answer) Constraint {
	tokens := tokensOf(a)
	if len(tokens) == 1 {
		return Constraint{Properties: tokens}
	}
	c := Constraint{}
	for _, token := range tokens {
		c.Or = append(c.Or, Constraint{Properties: []string{token}})
	}
	return c
}

// Requires returns the same in the syntax of RFC 35, for --requires.
func Requires(a placement.Answer) string { return strings.Join(tokensOf(a), "|") }

func tokensOf(a placement.Answer) []string {
	if len(a.Usable) == 0 {
		return []string{placement.NoClass}
	}
	return placement.Tokens(a.Usable)
}
