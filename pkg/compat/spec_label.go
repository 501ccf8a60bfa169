package compat

import (
	"fmt"
	"strings"
)

// Label makes a requirement on the label of a node. A label is compared with the
// fact that it is made of. The term's element is set here.
func (in *Interpreter) Label(label string, term Term) Requirement {
	s, ok := in.find(Attribute{Group: "label", Key: label, Value: "true", Kind: Bool})
	if !ok {
		return Requirement{Key: label, Unclear: "no compatibility spec knows this label"}
	}
	if s.node.Type == "bool" || s.node.Match == matchOption {
		return s.switchLabel(label, term)
	}
	term.Element = strings.Replace(s.node.Element, "*", s.rest, 1)
	if s.node.Fact == "kernel.version" { // a part has a label and an element of its own
		term.Element = label[strings.LastIndexByte(label, '.')+1:]
	}
	return Requirement{Key: label, Set: s.node.Fact, Terms: []Term{term}}
}

// switchLabel makes a requirement on a label that is true where something is
// there, and missing otherwise.
func (s boundAttribute) switchLabel(label string, term Term) Requirement {
	one := func(value string) Requirement {
		s.Value = value
		req := s.requirement()
		req.Key, req.Importance, req.Weight = label, Required, 0
		return req
	}
	switch term.Op {
	case Exists, IsTrue:
		return one("true")
	case DoesNotExist, IsFalse:
		return one("false")
	case In, NotIn:
		any := Requirement{Key: label, Combine: AnyOf, Not: term.Op == NotIn}
		for _, value := range term.Values {
			any.Parts = append(any.Parts, one(value))
		}
		if len(any.Parts) == 1 && !any.Not {
			return any.Parts[0]
		}
		return any
	default:
		return Requirement{Key: label, Unclear: fmt.Sprintf("op %s cannot be compared with a label that is true or missing", term.Op)}
	}
}
