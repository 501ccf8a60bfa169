// Package flux writes where images can run for Flux, whose resources have properties:
// constraints of jobs (RFC 31, RFC 35) and the properties of nodes, as configuration, as a
// resource set (RFC 20) and as a graph (JGF).
package flux

import "github.com/imagefit/imagefit/pkg/placement"

// Constraint is a constraint of RFC 31, as far as it is made of properties.
type Constraint struct {
	Properties []string     `json:"properties,omitempty"`
	Or         []Constraint `json:"or,omitempty"`
}

// ConstraintOf returns what nodes must have for a job: the value of
// attributes.system.constraints in a jobspec.
func ConstraintOf(e placement.Expression) Constraint {
	if len(e) == 1 {
		return Constraint{Properties: e[0]}
	}
	c := Constraint{}
	for _, all := range e {
		c.Or = append(c.Or, Constraint{Properties: all})
	}
	return c
}

// Requires returns the same in the syntax of RFC 35, for --requires.
func Requires(e placement.Expression) string { return e.String() }
