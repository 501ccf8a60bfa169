package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// parseTree reads a document that may be JSON or YAML. What begins like JSON
// is held to its rules: YAML would take a comma too many.
func parseTree(body []byte) (*yaml.Node, error) {
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		return parseJSON(body)
	}
	return parseYAML(body)
}

// parseJSON reads one JSON document as the tree that parseYAML makes, within
// the same bounds.
func parseJSON(body []byte) (*yaml.Node, error) {
	if len(body) > maxYAMLBytes {
		return nil, fmt.Errorf("the document has %d bytes, more than %d", len(body), maxYAMLBytes)
	}
	p := &outlineParser{body: body, dec: json.NewDecoder(bytes.NewReader(body))}
	p.dec.UseNumber()
	if err := p.syntax(); err != nil {
		return nil, p.errorAt(err)
	}
	t := &jsonTree{outlineParser: p, row: 1}
	node, err := t.value(0)
	if err == nil {
		if _, more := p.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the document")
		}
	}
	if err != nil {
		return nil, p.errorAt(err)
	}
	return node, nil
}

type jsonTree struct {
	*outlineParser
	nodes       int
	row         int   // of seen
	seen, begin int64 // how far rows were counted, and where the row begins
}

// node is one with the place of the token that was read last.
func (t *jsonTree) node(kind yaml.Kind, tag, value string) *yaml.Node {
	for i := t.seen; i < t.at; i++ {
		if t.body[i] == '\n' {
			t.row, t.begin = t.row+1, i+1
		}
	}
	t.seen = t.at
	return &yaml.Node{Kind: kind, Tag: tag, Value: value, Line: t.row, Column: int(t.at-t.begin) + 1}
}

func (t *jsonTree) value(depth int) (*yaml.Node, error) {
	token, err := t.next()
	if err != nil {
		return nil, err
	}
	t.nodes++
	switch {
	case t.nodes > maxYAMLNodes:
		return nil, fmt.Errorf("more than %d values", maxYAMLNodes)
	case depth > maxYAMLDepth:
		return nil, fmt.Errorf("nested deeper than %d", maxYAMLDepth)
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return t.mapping(depth)
		}
		return t.list(depth)
	case json.Number:
		return t.node(yaml.ScalarNode, numberTag(v), v.String()), nil
	case string:
		return t.node(yaml.ScalarNode, "!!str", v), nil
	case bool:
		return t.node(yaml.ScalarNode, "!!bool", strconv.FormatBool(v)), nil
	default:
		return t.node(yaml.ScalarNode, "!!null", "null"), nil
	}
}

func numberTag(n json.Number) string {
	if bytes.ContainsAny([]byte(n), ".eE") {
		return "!!float"
	}
	return "!!int"
}

func (t *jsonTree) list(depth int) (*yaml.Node, error) {
	list := t.node(yaml.SequenceNode, "!!seq", "")
	for t.dec.More() {
		member, err := t.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, member)
	}
	_, err := t.next()
	return list, err
}

func (t *jsonTree) mapping(depth int) (*yaml.Node, error) {
	mapping := t.node(yaml.MappingNode, "!!map", "")
	seen := map[string]bool{}
	for t.dec.More() {
		key, err := t.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("the key %s is there twice", quoted(key.Value))
		}
		seen[key.Value] = true
		value, err := t.value(depth + 1)
		if err != nil {
			return nil, err
		}
		mapping.Content = append(mapping.Content, key, value)
	}
	_, err := t.next()
	return mapping, err
}

// field returns the value of a key of a mapping, or nil.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && !isNull(n.Content[i+1]) {
			return n.Content[i+1]
		}
	}
	return nil
}

// attributesOf reads a mapping of scalars as the attributes of one group.
func attributesOf(group string, n *yaml.Node, what string) ([]Attribute, error) {
	var attributes []Attribute
	err := eachField(n, what, func(key, value *yaml.Node) error {
		a, err := attributeOf(group, key, value)
		attributes = append(attributes, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return attributes, nil
}

func attributeOf(group string, key, value *yaml.Node) (Attribute, error) {
	text, err := scalarOf(value, "the attribute "+quoted(key.Value))
	if err != nil {
		return Attribute{}, err
	}
	a := Attribute{Group: group, Key: key.Value, Value: text}
	switch value.ShortTag() {
	case "!!bool":
		a.Kind = Bool
	case "!!int", "!!float":
		a.Kind = Number
	}
	return a, nil
}
