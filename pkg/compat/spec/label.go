package spec

import (
	"fmt"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Label makes a requirement on the label of a node. A label is compared with the
// fact that it is made of. The term's element is set here.
func (in *Interpreter) Label(label string, term compat.Term) compat.Requirement {
	s, ok := in.find(compat.Attribute{Group: "label", Key: label, Value: "true", Kind: compat.Bool})
	if !ok {
		return compat.Requirement{Key: label, Unclear: "no compatibility spec knows this label"}
	}
	if s.node.Type == "bool" || s.node.Match == matchOption {
		return s.switchLabel(label, term)
	}
	term.Element = strings.Replace(s.node.Element, "*", s.rest, 1)
	if s.node.Fact == "kernel.version" { // a part has a label and an element of its own
		term.Element = label[strings.LastIndexByte(label, '.')+1:]
	}
	return compat.Requirement{Key: label, Set: s.node.Fact, Terms: []compat.Term{term}}
}

// switchLabel makes a requirement on a label that is true where something is
// there, and missing otherwise.
func (s boundAttribute) switchLabel(label string, term compat.Term) compat.Requirement {
	one := func(value string) compat.Requirement {
		s.Value = value
		req := s.requirement()
		req.Key, req.Importance, req.Weight = label, compat.Required, 0
		return req
	}
	switch term.Op {
	case compat.Exists, compat.IsTrue:
		return one("true")
	case compat.DoesNotExist, compat.IsFalse:
		return one("false")
	case compat.In, compat.NotIn:
		ways := compat.Requirement{Key: label, Combine: compat.AnyOf, Not: term.Op == compat.NotIn}
		for _, value := range term.Values {
			ways.Parts = append(ways.Parts, one(value))
		}
		if len(ways.Parts) == 1 && !ways.Not {
			return ways.Parts[0]
		}
		return ways
	default:
		return compat.Requirement{Key: label, Unclear: fmt.Sprintf("op %s cannot be compared with a label that is true or missing", term.Op)}
	}
}
