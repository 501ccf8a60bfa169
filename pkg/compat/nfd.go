package compat

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Types of NFD's image compatibility artifacts, those of its code and those of
// its enhancement proposals (KEP-1845).
const (
	ArtifactTypeNFD    = "application/vnd.nfd.image-compatibility.v1alpha1"
	LayerTypeNFD       = "application/vnd.nfd.image-compatibility.spec.v1alpha1+yaml"
	ArtifactTypeNFDKEP = "application/vnd.k8s.nfd.image-compatibility.v1"
	LayerTypeNFDKEP    = "application/vnd.k8s.nfd.image-compatibility.spec.v1+yaml"
)

// nfdDialect is the image compatibility format of Node Feature Discovery. NFD
// itself takes any layer, so those that say JSON are read too.
func nfdDialect() Dialect {
	return Dialect{
		Name:          "nfd-v1alpha1",
		ArtifactTypes: []string{ArtifactTypeNFD, ArtifactTypeNFDKEP},
		Parse:         func(_ *Interpreter, body []byte) ([]Requirement, error) { return ParseNFD(body) },
	}
}

// What one spec may hold, so that weighing it stays cheap.
const (
	maxNFDTerms  = 2_000
	maxNFDWeight = maxWeight
)

// ParseNFD reads an image compatibility spec of Node Feature Discovery, YAML or
// JSON:
//
//	{version: v1alpha1, compatibilities: [{rules: [...], weight, tag, description}]}
//
// The rules of one set all hold, or the set does not; one set that holds is
// enough, and the best weight of those that do counts. Whatever is not of that
// shape is an error with row and column; nothing is half read.
func ParseNFD(body []byte) ([]Requirement, error) {
	parse := parseYAML
	if json.Valid(body) { // nearly, but not quite, all JSON is YAML
		parse = parseJSON
	}
	root, err := parse(body)
	if err != nil {
		return nil, err
	}
	p := &nfdParser{}
	sets, err := p.document(root)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, nil // nothing is asked
	}
	return []Requirement{{Key: "compatibilities", Combine: AnyOf, Parts: sets}}, nil
}

type nfdParser struct {
	terms   int    // so far
	pattern int    // size of the regular expressions so far
	dynamic string // rule of this set whose variables are made by a template
}

func (p *nfdParser) document(root *yaml.Node) ([]Requirement, error) {
	var version string
	var list *yaml.Node
	err := eachField(root, "the document", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "version":
			version, err = scalarOf(value, "version")
			if err == nil && version != "v1alpha1" && version != "v1" { // the latter in KEP-2403
				err = nodeError(value, "version is %s, not v1alpha1", quoted(version))
			}
		case "compatibilities":
			list = value
		default:
			err = unknownKey(key, "the document", "version", "compatibilities")
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case version == "":
		return nil, nodeError(root, `key "version" is missing`)
	case list == nil:
		return nil, nodeError(root, `key "compatibilities" is missing`)
	}
	return eachOf(list, "compatibilities", p.set)
}

// eachOf reads the members of a list, each into a requirement.
func eachOf(n *yaml.Node, what string, member func(i int, n *yaml.Node) (Requirement, error)) ([]Requirement, error) {
	members, err := listOf(n, what)
	if err != nil {
		return nil, err
	}
	reqs := make([]Requirement, 0, len(members))
	for i, m := range members {
		req, err := member(i, m)
		if err != nil {
			return nil, err
		}
		reqs = append(reqs, req)
	}
	return reqs, nil
}

// set reads one compatibility set. What its rules define is seen in this set
// alone; NFD lets it leak into the next.
func (p *nfdParser) set(i int, n *yaml.Node) (Requirement, error) {
	p.dynamic = ""
	req := Requirement{Key: fmt.Sprintf("set %d", i+1), Combine: AllOf}
	tag, description, hasRules := "", "", false
	err := eachField(n, "a compatibility set", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "tag":
			tag, err = scalarOf(value, "tag")
		case "description":
			description, err = scalarOf(value, "description")
		case "weight":
			req.Weight, err = wholeNumber(value, "weight", maxNFDWeight)
		case "rules":
			hasRules = true
			req.Parts, err = eachOf(value, "rules", p.rule)
		default:
			err = unknownKey(key, "a compatibility set", "rules", "weight", "tag", "description")
		}
		return err
	})
	if err == nil && !hasRules {
		err = nodeError(n, `key "rules" is missing`)
	}
	if tag != "" {
		req.Key = tag
	}
	if req.Title = description; description == "" {
		req.Title = tag
	}
	return req, err
}
