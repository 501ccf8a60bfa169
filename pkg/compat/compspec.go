package compat

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Types of compspec's artifacts: its documents say the first, its code the
// second. The layer has the same type as the artifact.
const (
	ArtifactTypeCompspec    = "application/org.supercontainers.compspec"
	ArtifactTypeCompspecOrg = "application/org.compspec"
)

// compspecDialect is the CompatibilitySpec of compspec and of Proposal D, and
// the flat list of attributes that compat-lib writes.
func compspecDialect() Dialect {
	return Dialect{
		Name:          "compspec",
		ArtifactTypes: []string{ArtifactTypeCompspec, ArtifactTypeCompspecOrg},
		Parse: func(in *Interpreter, body []byte) ([]Requirement, error) {
			attributes, err := ParseCompspec(body)
			if err != nil {
				return nil, err
			}
			return in.Requirements(attributes), nil
		},
	}
}

// ParseCompspec reads a CompatibilitySpec:
//
//	{version, kind: "CompatibilitySpec", metadata, compatibilities: [{name, version, schema, attributes}]}
//
// Proposal D calls the attributes annotations. The name of each entry is the
// group of its attributes. compat-lib has {version, attributes} alone, whose
// keys begin with their group. A schema that is named is never fetched.
func ParseCompspec(body []byte) ([]Attribute, error) {
	root, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	if list := field(root, "attributes"); list != nil && field(root, "compatibilities") == nil {
		return compatLib(root)
	}
	p := &compspecParser{}
	if err := eachField(root, "the document", p.document); err != nil {
		return nil, err
	}
	switch {
	case !p.kind:
		return nil, nodeError(root, `key "kind" is missing`)
	case !p.list:
		return nil, nodeError(root, `key "compatibilities" is missing`)
	}
	return p.attributes, nil
}

type compspecParser struct {
	kind, list bool
	attributes []Attribute
}

func (p *compspecParser) document(key, value *yaml.Node) error {
	switch key.Value {
	case "kind":
		p.kind = true
		if value.Value != "CompatibilitySpec" {
			return nodeError(value, `kind is %s, not "CompatibilitySpec"`, describeNode(value))
		}
	case "version":
		_, err := scalarOf(value, "version")
		return err
	case "metadata":
		return eachField(value, "metadata", func(_, _ *yaml.Node) error { return nil })
	case "annotations": // notes of the author
		return eachField(value, "annotations", func(_, _ *yaml.Node) error { return nil })
	case "compatibilities":
		p.list = true
		entries, err := listOf(value, "compatibilities")
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := p.entry(entry); err != nil {
				return err
			}
		}
	default:
		return unknownKey(key, "the document", "version", "kind", "metadata", "compatibilities", "annotations")
	}
	return nil
}

// entry reads the attributes of one compatibility interest group.
func (p *compspecParser) entry(entry *yaml.Node) error {
	const what = "a compatibility"
	name, values := "", []*yaml.Node{}
	err := eachField(entry, what, func(key, value *yaml.Node) error {
		switch key.Value {
		case "name":
			var err error
			name, err = scalarOf(value, "name")
			return err
		case "version", "schema":
			_, err := scalarOf(value, key.Value)
			return err
		case "attributes", "annotations":
			values = append(values, value)
			return nil
		default:
			return unknownKey(key, what, "name", "version", "schema", "attributes", "annotations")
		}
	})
	if err != nil {
		return err
	}
	if name == "" || len(values) == 0 {
		return nodeError(entry, "a compatibility needs a name and attributes")
	}
	for _, value := range values {
		attributes, err := attributesOf(name, value, "the attributes of "+quoted(name))
		if err != nil {
			return err
		}
		p.attributes = append(p.attributes, attributes...)
		if len(p.attributes) > maxOutlineAttributes {
			return nodeError(value, "more than %d attributes", maxOutlineAttributes)
		}
	}
	return nil
}

// compatLib reads what compat-lib writes.
func compatLib(root *yaml.Node) ([]Attribute, error) {
	var attributes []Attribute
	err := eachField(root, "the document", func(key, value *yaml.Node) error {
		switch key.Value {
		case "version":
			_, err := scalarOf(value, "version")
			return err
		case "attributes":
			var err error
			attributes, err = attributesOf("llnl.compatlib", value, "attributes")
			return err
		default:
			return unknownKey(key, "the document", "version", "attributes")
		}
	})
	if err == nil && len(attributes) > maxOutlineAttributes {
		err = fmt.Errorf("more than %d attributes", maxOutlineAttributes)
	}
	if err != nil {
		return nil, err
	}
	return attributes, nil
}
