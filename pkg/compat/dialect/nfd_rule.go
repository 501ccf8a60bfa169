package dialect

import (
	"fmt"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// rule reads one rule: all of matchFeatures, and one of matchAny.
func (p *nfdParser) rule(i int, n *document.Node) (compat.Requirement, error) {
	req := compat.Requirement{Key: fmt.Sprintf("rule %d", i+1), Combine: compat.AllOf}
	var features, ways []compat.Requirement
	template := false
	err := n.Each("a rule", func(key, value *document.Node) (err error) {
		switch key.Value {
		case "name":
			req.Title, err = value.AsText("name")
		case "vars":
			req.Defines, err = p.vars(value)
		case "varsTemplate":
			template = true
			_, err = value.AsText("varsTemplate")
		case "matchFeatures":
			features, err = eachOf(value, "matchFeatures", p.feature)
		case "matchAny":
			ways, err = eachOf(value, "matchAny", p.way)
		case "labels", "labelsTemplate", "annotations", "taints", "extendedResources":
			// What a NodeFeatureRule adds to a node; it requires nothing.
		default:
			err = key.UnknownKey("a rule", "name", "vars", "varsTemplate", "matchFeatures", "matchAny")
		}
		return err
	})
	if err != nil {
		return compat.Requirement{}, err
	}
	if req.Title != "" {
		req.Key = req.Title
	}
	req.Parts = features
	if len(ways) > 0 {
		req.Parts = append(req.Parts, compat.Requirement{Key: req.Key, Combine: compat.AnyOf, Parts: ways})
	}
	if template {
		p.dynamic = req.Key
	}
	return req, nil
}

// vars reads the variables that later rules of the set find in rule.matched.
func (p *nfdParser) vars(n *document.Node) (map[string]string, error) {
	vars := map[string]string{}
	err := n.Each("vars", func(key, value *document.Node) (err error) {
		vars[key.Value], err = value.AsText("the variable " + textutil.Quote(key.Value))
		if err == nil {
			err = p.another(key)
		}
		return err
	})
	return vars, err
}

// way reads one member of matchAny.
func (p *nfdParser) way(i int, n *document.Node) (compat.Requirement, error) {
	req := compat.Requirement{Key: fmt.Sprintf("matchAny %d", i+1), Combine: compat.AllOf}
	err := n.OnlyKeys("a member of matchAny", "matchFeatures")
	if features := n.Field("matchFeatures"); err == nil && features != nil {
		req.Parts, err = eachOf(features, "matchFeatures", p.feature)
	}
	return req, err
}

// feature reads one term of matchFeatures: conditions on one feature set.
func (p *nfdParser) feature(_ int, n *document.Node) (compat.Requirement, error) {
	var req compat.Requirement
	err := n.Each("a member of matchFeatures", func(key, value *document.Node) (err error) {
		switch key.Value {
		case "feature":
			req.Key, err = value.AsText("feature")
			req.Set = strings.ToLower(req.Key)
		case "matchExpressions":
			err = p.expressions(&req, value)
		case "matchName":
			req.Name, err = p.expression(&req, "", value)
		default:
			err = key.UnknownKey("a member of matchFeatures", "feature", "matchExpressions", "matchName")
		}
		return err
	})
	switch {
	case err != nil:
		return compat.Requirement{}, err
	case req.Set == "":
		return compat.Requirement{}, n.Errorf(`key "feature" is missing`)
	case len(req.Terms) == 0 && req.Name == nil: // the feature must be there
		req.Name = &compat.Term{Op: compat.Any}
	}
	if req.Set == "rule.matched" && p.dynamic != "" {
		req.Unclear = fmt.Sprintf("the rule %s makes its variables with a varsTemplate, which imagefit does not run", textutil.Quote(p.dynamic))
	}
	return req, nil
}

// expressions reads matchExpressions: an object of expressions by element, or
// in short a list of elements that must be there or have a value ("NAME" or
// "NAME=VALUE").
func (p *nfdParser) expressions(req *compat.Requirement, n *document.Node) error {
	if n.Kind == document.List {
		return p.shortList(req, n)
	}
	if err := n.AsMapping("matchExpressions"); err != nil {
		return err
	}
	for element, expression := range n.Pairs {
		term, err := p.expression(req, element.Value, expression)
		if err != nil {
			return err
		}
		req.Terms = append(req.Terms, *term)
	}
	return nil
}

func (p *nfdParser) shortList(req *compat.Requirement, n *document.Node) error {
	for _, member := range n.Values {
		text, err := member.AsText("a member of the list matchExpressions")
		if err == nil {
			err = p.another(member)
		}
		if err != nil {
			return err
		}
		term := compat.Term{Element: text, Op: compat.Exists}
		if element, value, ok := strings.Cut(text, "="); ok {
			term = compat.Term{Element: element, Op: compat.In, Values: []string{value}}
		}
		req.Terms = append(req.Terms, term)
	}
	return nil
}

// another counts what a spec has, so that evaluating it stays cheap.
func (p *nfdParser) another(n *document.Node) error {
	if p.terms++; p.terms > maxNFDTerms {
		return n.Errorf("more than %d expressions and variables", maxNFDTerms)
	}
	return nil
}
