package compat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a YAML document may hold. Real ones have a few kilobytes.
const (
	maxYAMLBytes = 1 << 20
	maxYAMLNodes = 100_000
	maxYAMLDepth = 32
)

// yamlRow finds the row in the errors of the YAML parser.
const yamlRow = `^yaml: (?:unmarshal errors:\s*)?line (\d+): `

// parseYAML reads one document of YAML, and so also of JSON, as a tree of
// mappings, lists and scalars. It has no anchors, aliases, merge keys or tags
// of its own, with which a short text can stand for a huge one, and no key
// twice: readers would not agree on which of the two counts.
func parseYAML(body []byte) (*yaml.Node, error) {
	if len(body) > maxYAMLBytes {
		return nil, fmt.Errorf("the document has %d bytes, more than %d", len(body), maxYAMLBytes)
	}
	p := &outlineParser{body: body}
	jsonErr := p.syntax()
	if errors.Is(jsonErr, errNotUTF8) {
		return nil, p.errorAt(jsonErr)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		return nil, errors.New("row 1, column 1: the document is empty")
	case jsonErr != nil && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")): // JSON is what was meant
		return nil, p.errorAt(jsonErr)
	default:
		return nil, yamlError(err)
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		return nil, nodeError(&more, "there is more than one document")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	nodes := 0
	if err := checkYAML(&document, 0, &nodes); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 {
		return nil, errors.New("row 1, column 1: the document is empty")
	}
	return document.Content[0], nil
}

// yamlError is an error of the YAML parser, which knows only rows, and does not
// name the first.
func yamlError(err error) error {
	text := shortened(err.Error())
	if found := regexp.MustCompile(yamlRow).FindStringSubmatch(text); found != nil {
		return fmt.Errorf("row %s: %s", found[1], text[len(found[0]):])
	}
	return errors.New("row 1: " + strings.TrimPrefix(text, "yaml: "))
}

func checkYAML(n *yaml.Node, depth int, nodes *int) error {
	*nodes++
	switch {
	case *nodes > maxYAMLNodes:
		return nodeError(n, "more than %d values", maxYAMLNodes)
	case depth > maxYAMLDepth:
		return nodeError(n, "nested deeper than %d", maxYAMLDepth)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return nodeError(n, "anchors and aliases are not read")
	case n.Kind != yaml.DocumentNode && !isPlainTag(n.ShortTag()):
		return nodeError(n, "the tag %s is not read", quoted(n.ShortTag()))
	}
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			switch {
			case child.Kind != yaml.ScalarNode:
				return nodeError(child, "a key must be a string")
			case seen[child.Value]:
				return nodeError(child, "the key %s is there twice", quoted(child.Value))
			}
			seen[child.Value] = true
		}
		if err := checkYAML(child, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

func isPlainTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq":
		return true
	default: // a merge key is one of the others
		return false
	}
}

// nodeError is an error with the row and column of what it is about.
func nodeError(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("row %d, column %d: "+format, append([]any{n.Line, n.Column}, args...)...)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// eachField hands every key of a mapping with its value to field. What is
// written as null is left out, as if the key were not there.
func eachField(n *yaml.Node, what string, field func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return nodeError(n, "expected %s to be an object, found %s", what, describeNode(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isNull(n.Content[i+1]) {
			continue
		}
		if err := field(n.Content[i], n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// listOf returns the members of a list.
func listOf(n *yaml.Node, what string) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, nodeError(n, "expected %s to be a list, found %s", what, describeNode(n))
	}
	return n.Content, nil
}

// scalarOf returns a string, number or bool as it is written.
func scalarOf(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		return "", nodeError(n, "expected %s to be a string, found %s", what, describeNode(n))
	}
	return n.Value, nil
}

func wholeNumber(n *yaml.Node, what string, limit int) (int, error) {
	number, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return 0, nodeError(n, "expected %s to be a whole number, found %s", what, describeNode(n))
	}
	if number < -limit || number > limit {
		return 0, nodeError(n, "%s is %d, not -%d to %d", what, number, limit, limit)
	}
	return number, nil
}

func unknownKey(key *yaml.Node, of string, known ...string) error {
	return nodeError(key, "%s has no key %s, only %s", of, quoted(key.Value), strings.Join(known, ", "))
}

func describeNode(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "null"
	default:
		return quoted(n.Value)
	}
}
