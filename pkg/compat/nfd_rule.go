package compat

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rule reads one rule: all of matchFeatures, and one of matchAny.
func (p *nfdParser) rule(i int, n *yaml.Node) (Requirement, error) {
	req := Requirement{Key: fmt.Sprintf("rule %d", i+1), Combine: AllOf}
	var features, ways []Requirement
	template := false
	err := eachField(n, "a rule", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "name":
			req.Title, err = scalarOf(value, "name")
		case "vars":
			req.Defines, err = p.vars(value)
		case "varsTemplate":
			template = true
			_, err = scalarOf(value, "varsTemplate")
		case "matchFeatures":
			features, err = eachOf(value, "matchFeatures", p.feature)
		case "matchAny":
			ways, err = eachOf(value, "matchAny", p.way)
		case "labels", "labelsTemplate", "annotations", "taints", "extendedResources":
			// What a NodeFeatureRule gives to a node; it asks nothing of one.
		default:
			err = unknownKey(key, "a rule", "name", "vars", "varsTemplate", "matchFeatures", "matchAny")
		}
		return err
	})
	if err != nil {
		return Requirement{}, err
	}
	if req.Title != "" {
		req.Key = req.Title
	}
	req.Parts = features
	if len(ways) > 0 {
		req.Parts = append(req.Parts, Requirement{Key: req.Key, Combine: AnyOf, Parts: ways})
	}
	if template {
		p.dynamic = req.Key
	}
	return req, nil
}

// vars reads the variables that later rules of the set find in rule.matched.
func (p *nfdParser) vars(n *yaml.Node) (map[string]string, error) {
	vars := map[string]string{}
	err := eachField(n, "vars", func(key, value *yaml.Node) (err error) {
		vars[key.Value], err = scalarOf(value, "the variable "+quoted(key.Value))
		if err == nil {
			err = p.another(key)
		}
		return err
	})
	return vars, err
}

// way reads one member of matchAny.
func (p *nfdParser) way(i int, n *yaml.Node) (Requirement, error) {
	req := Requirement{Key: fmt.Sprintf("matchAny %d", i+1), Combine: AllOf}
	err := eachField(n, "a member of matchAny", func(key, value *yaml.Node) (err error) {
		if key.Value != "matchFeatures" {
			return unknownKey(key, "a member of matchAny", "matchFeatures")
		}
		req.Parts, err = eachOf(value, "matchFeatures", p.feature)
		return err
	})
	return req, err
}

// feature reads one term of matchFeatures: conditions on one feature set.
func (p *nfdParser) feature(_ int, n *yaml.Node) (Requirement, error) {
	var req Requirement
	err := eachField(n, "a member of matchFeatures", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "feature":
			req.Key, err = scalarOf(value, "feature")
			req.Set = strings.ToLower(req.Key)
		case "matchExpressions":
			err = p.expressions(&req, value)
		case "matchName":
			req.Name, err = p.expression(&req, "", value)
		default:
			err = unknownKey(key, "a member of matchFeatures", "feature", "matchExpressions", "matchName")
		}
		return err
	})
	switch {
	case err != nil:
		return Requirement{}, err
	case req.Set == "":
		return Requirement{}, nodeError(n, `key "feature" is missing`)
	case len(req.Terms) == 0 && req.Name == nil: // the feature must be there
		req.Name = &Term{Op: Any}
	}
	if req.Set == "rule.matched" && p.dynamic != "" {
		req.Unclear = fmt.Sprintf("the rule %s makes its variables with a varsTemplate, which imagefit does not run", quoted(p.dynamic))
	}
	return req, nil
}

// expressions reads matchExpressions: an object of expressions by element, or
// in short a list of elements that must be there or have a value ("NAME" or
// "NAME=VALUE").
func (p *nfdParser) expressions(req *Requirement, n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return p.shortList(req, n)
	}
	if n.Kind != yaml.MappingNode {
		return nodeError(n, "expected matchExpressions to be an object, found %s", describeNode(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		term, err := p.expression(req, n.Content[i].Value, n.Content[i+1])
		if err != nil {
			return err
		}
		req.Terms = append(req.Terms, *term)
	}
	return nil
}

func (p *nfdParser) shortList(req *Requirement, n *yaml.Node) error {
	for _, member := range n.Content {
		text, err := scalarOf(member, "a member of the list matchExpressions")
		if err == nil {
			err = p.another(member)
		}
		if err != nil {
			return err
		}
		term := Term{Element: text, Op: Exists}
		if element, value, ok := strings.Cut(text, "="); ok {
			term = Term{Element: element, Op: In, Values: []string{value}}
		}
		req.Terms = append(req.Terms, term)
	}
	return nil
}

// another counts what a spec holds, so that weighing it stays cheap.
func (p *nfdParser) another(n *yaml.Node) error {
	if p.terms++; p.terms > maxNFDTerms {
		return nodeError(n, "more than %d expressions and variables", maxNFDTerms)
	}
	return nil
}
