package dialect

import (
	"cmp"
	"fmt"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// LayerTypeModel is the type of ocifit's specs that choose a model.
const LayerTypeModel = "application/vnd.oci.image.model-compatibilities.v1+json"

// Ocifit is the name of the dialect of ocifit-k8s.
const Ocifit = "ocifit"

// ocifit is that of ocifit-k8s. It calls itself v1alpha1 like NFD's, but its
// matchExpressions are a list, and speak of labels of a node:
//
//	{version: v1alpha1, compatibilities: [{tag, description, weight, rules:
//	  [{matchFeatures: [{matchExpressions: [{key, op, value}]}]}]}]}
//
// All of the rules, features and expressions of a set hold, or the set does
// not; one set that holds is enough.
func ocifit() Dialect {
	return Dialect{
		Name:          Ocifit,
		ArtifactTypes: []string{ArtifactTypeCompatibilities, LayerTypeModel, ArtifactTypeNFD, ArtifactTypeNFDKEP, ArtifactType},
		LayerTypes: []string{
			LayerTypeCompatibilities, LayerTypeModel, LayerTypeNFD, LayerTypeNFDKEP, LayerTypeOutline,
		},
		YAML:    true,
		Matches: isOcifit,
		Requirements: func(in *spec.Interpreter, root *document.Node) ([]compat.Requirement, error) {
			return (&ocifitParser{in: in}).document(root)
		},
	}
}

// isOcifit looks for a list of expressions that have a key.
func isOcifit(root *document.Node) bool {
	for _, set := range root.Field("compatibilities").Members() {
		for _, rule := range set.Field("rules").Members() {
			if rule.Key("matchModel") != nil {
				return true
			}
			for _, feature := range rule.Field("matchFeatures").Members() {
				for _, expression := range feature.Field("matchExpressions").Members() {
					if expression.Key("key") != nil {
						return true
					}
				}
			}
		}
	}
	return false
}

type ocifitParser struct {
	in  *spec.Interpreter
	nfd nfdParser // for what the two dialects have in common
}

func (p *ocifitParser) document(root *document.Node) ([]compat.Requirement, error) {
	if err := root.OnlyKeys("the document", "version", "compatibilities"); err != nil {
		return nil, err
	}
	if version := root.Field("version"); version != nil && version.Value != "v1alpha1" {
		return nil, version.Errorf("version is %s, not v1alpha1", version.Describe())
	}
	if err := root.NeedKeys("compatibilities"); err != nil {
		return nil, err
	}
	return anyOf(root.Field("compatibilities"), func(i int, n *document.Node) (compat.Requirement, error) {
		return readSet(i, n, p.rule) // its tag is an image that the set is about
	})
}

func (p *ocifitParser) rule(i int, n *document.Node) (compat.Requirement, error) {
	req := compat.Requirement{Key: fmt.Sprintf("rule %d", i+1), Title: n.Field("name").Text(), Combine: compat.AllOf}
	err := cmp.Or(n.OnlyKeys("a rule", "name", "matchFeatures", "matchModel"), n.TextKeys("name"))
	if features := n.Field("matchFeatures"); err == nil && features != nil {
		req.Parts, err = eachOf(features, "matchFeatures", p.feature)
	}
	if n.Field("matchModel") != nil {
		req.Parts = append(req.Parts, compat.Requirement{Key: "matchModel", Unclear: "a model decides it, which imagefit does not run"})
	}
	return req, err
}

func (p *ocifitParser) feature(_ int, n *document.Node) (compat.Requirement, error) {
	req := compat.Requirement{Key: "matchFeatures", Combine: compat.AllOf}
	err := n.OnlyKeys("a member of matchFeatures", "matchExpressions")
	if list := n.Field("matchExpressions"); err == nil && list != nil {
		req.Parts, err = eachOf(list, "matchExpressions", p.expression)
	}
	return req, err
}

func (p *ocifitParser) expression(_ int, n *document.Node) (compat.Requirement, error) {
	if err := p.nfd.another(n); err != nil {
		return compat.Requirement{}, err
	}
	var term compat.Term
	label := ""
	err := n.Each("an expression", func(key, value *document.Node) (err error) {
		switch key.Value {
		case "key":
			label, err = value.AsText("key")
		case "op":
			var op string
			op, err = value.AsText("op")
			term.Op = compat.Op(op)
		case "value", "values":
			term.Values, err = valuesOf(value)
		default:
			err = key.UnknownKey("an expression", "key", "op", "value")
		}
		return err
	})
	switch {
	case err != nil:
		return compat.Requirement{}, err
	case label == "" || term.Op == "":
		return compat.Requirement{}, n.Errorf("an expression needs a key and an op")
	}
	switch term.Op {
	case "Gte":
		term.Op = compat.Ge
	case "Lte":
		term.Op = compat.Le
	}
	if why, ok := knownOp(term.Op); !ok { // a later version may know it
		return compat.Requirement{Key: label, Unclear: why}, nil
	}
	if err := p.nfd.validate(&term, n); err != nil {
		return compat.Requirement{}, err
	}
	return p.in.Label(label, term), nil
}
