package compat

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LayerTypeModel is the type of ocifit's specs that choose a model.
const LayerTypeModel = "application/vnd.oci.image.model-compatibilities.v1+json"

// ocifitDialect is that of ocifit-k8s. It calls itself v1alpha1 like NFD's, but
// its matchExpressions are a list, and speak of labels.
func ocifitDialect() Dialect {
	return Dialect{
		Name:          "ocifit",
		ArtifactTypes: []string{ArtifactTypeCompatibilities, LayerTypeModel, ArtifactTypeNFD, ArtifactTypeNFDKEP, ArtifactType},
		LayerTypes: []string{
			LayerTypeCompatibilities, LayerTypeModel, LayerTypeNFD, LayerTypeNFDKEP, LayerTypeOutline,
		},
		Claims: func(body []byte) bool {
			root, err := parseTree(body)
			return err == nil && isOcifit(field(root, "compatibilities"))
		},
		Parse: ParseOcifit,
	}
}

// isRuleList tells a list of sets of rules from one of flat sets.
func isRuleList(list *yaml.Node) bool {
	return slices.ContainsFunc(list.Content, func(set *yaml.Node) bool { return field(set, "rules") != nil })
}

// isOcifit looks for a list of expressions that have a key.
func isOcifit(list *yaml.Node) bool {
	for _, set := range members(list) {
		for _, rule := range members(field(set, "rules")) {
			if field(rule, "matchModel") != nil {
				return true
			}
			for _, feature := range members(field(rule, "matchFeatures")) {
				for _, expression := range members(field(feature, "matchExpressions")) {
					if field(expression, "key") != nil {
						return true
					}
				}
			}
		}
	}
	return false
}

func members(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// ParseOcifit reads ocifit-k8s' spec:
//
//	{version: v1alpha1, compatibilities: [{tag, description, weight, rules:
//	  [{matchFeatures: [{matchExpressions: [{key, op, value}]}]}]}]}
//
// All of the rules, features and expressions of a set hold, or the set does
// not; one set that holds is enough. A key is a label of a node.
func ParseOcifit(in *Interpreter, body []byte) ([]Requirement, error) {
	root, err := parseTree(body)
	if err != nil {
		return nil, err
	}
	p := &ocifitParser{in: in}
	sets, err := p.document(root)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, nil // nothing is asked
	}
	return []Requirement{{Key: "compatibilities", Combine: AnyOf, Parts: sets}}, nil
}

type ocifitParser struct {
	in  *Interpreter
	nfd nfdParser // for what the two dialects have in common
}

func (p *ocifitParser) document(root *yaml.Node) ([]Requirement, error) {
	var list *yaml.Node
	err := eachField(root, "the document", func(key, value *yaml.Node) error {
		switch key.Value {
		case "version":
			if value.Value != "v1alpha1" {
				return nodeError(value, "version is %s, not v1alpha1", describeNode(value))
			}
		case "compatibilities":
			list = value
		default:
			return unknownKey(key, "the document", "version", "compatibilities")
		}
		return nil
	})
	if err == nil && list == nil {
		err = nodeError(root, `key "compatibilities" is missing`)
	}
	if err != nil {
		return nil, err
	}
	return eachOf(list, "compatibilities", p.set)
}

func (p *ocifitParser) set(i int, n *yaml.Node) (Requirement, error) {
	req := Requirement{Key: fmt.Sprintf("set %d", i+1), Combine: AllOf}
	description := ""
	err := eachField(n, "a compatibility set", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "tag": // the image that the set is about
			req.Title, err = scalarOf(value, "tag")
		case "description":
			description, err = scalarOf(value, "description")
		case "weight":
			req.Weight, err = wholeNumber(value, "weight", maxWeight)
		case "rules":
			req.Parts, err = eachOf(value, "rules", p.rule)
		default:
			err = unknownKey(key, "a compatibility set", "rules", "weight", "tag", "description")
		}
		return err
	})
	if err == nil && field(n, "rules") == nil {
		err = nodeError(n, `key "rules" is missing`)
	}
	if req.Title != "" {
		req.Key = shortened(req.Title)
	}
	if description != "" {
		req.Title = description
	}
	return req, err
}

func (p *ocifitParser) rule(i int, n *yaml.Node) (Requirement, error) {
	req := Requirement{Key: fmt.Sprintf("rule %d", i+1), Combine: AllOf}
	err := eachField(n, "a rule", func(key, value *yaml.Node) error {
		switch key.Value {
		case "name":
			name, err := scalarOf(value, "name")
			req.Title = name
			return err
		case "matchFeatures":
			parts, err := eachOf(value, "matchFeatures", p.feature)
			req.Parts = append(req.Parts, parts...)
			return err
		case "matchModel":
			req.Parts = append(req.Parts, Requirement{Key: "matchModel", Unclear: "a model decides it, which imagefit does not run"})
			return nil
		default:
			return unknownKey(key, "a rule", "name", "matchFeatures", "matchModel")
		}
	})
	return req, err
}

func (p *ocifitParser) feature(_ int, n *yaml.Node) (Requirement, error) {
	req := Requirement{Key: "matchFeatures", Combine: AllOf}
	err := eachField(n, "a member of matchFeatures", func(key, value *yaml.Node) (err error) {
		if key.Value != "matchExpressions" {
			return unknownKey(key, "a member of matchFeatures", "matchExpressions")
		}
		req.Parts, err = eachOf(value, "matchExpressions", p.expression)
		return err
	})
	return req, err
}

func (p *ocifitParser) expression(_ int, n *yaml.Node) (Requirement, error) {
	if err := p.nfd.another(n); err != nil {
		return Requirement{}, err
	}
	var term Term
	label := ""
	err := eachField(n, "an expression", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "key":
			label, err = scalarOf(value, "key")
		case "op":
			var op string
			op, err = scalarOf(value, "op")
			term.Op = Op(op)
		case "value", "values":
			term.Values, err = valuesOf(value)
		default:
			err = unknownKey(key, "an expression", "key", "op", "value")
		}
		return err
	})
	switch {
	case err != nil:
		return Requirement{}, err
	case label == "" || term.Op == "":
		return Requirement{}, nodeError(n, "an expression needs a key and an op")
	}
	switch term.Op {
	case "Gte":
		term.Op = Ge
	case "Lte":
		term.Op = Le
	}
	if why, ok := knownOp(term.Op); !ok { // a later version may know it
		return Requirement{Key: label, Unclear: why}, nil
	}
	if err := p.nfd.validate(&term, n); err != nil {
		return Requirement{}, err
	}
	return p.in.label(label, term), nil
}

// label makes a requirement on the label of a node. A label is held against the
// fact that it is made of. The term's element is set here.
func (in *Interpreter) label(label string, term Term) Requirement {
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
func (s said) switchLabel(label string, term Term) Requirement {
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
		return Requirement{Key: label, Unclear: fmt.Sprintf("op %s cannot be held against a label that is true or missing", term.Op)}
	}
}
