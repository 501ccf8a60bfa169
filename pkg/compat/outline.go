package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Media types of Proposal F ("artifact compatibility outline"), the first
// revision's layer type and the merged text's.
const (
	ArtifactType         = "application/vnd.oci.image-compatibility.v1"
	LayerTypeOutline     = "application/vnd.oci.image-compatibility.spec.v1+json"
	LayerTypeOutlineNFD  = "application/k8s.nfd.image-compatibility.spec.v1+json"
	maxOutlineAttributes = 10_000
)

// Attribute is one "group, key, scalar" of Proposal F. Kind tells how the
// value was written, since "true" and true may be meant differently.
type Attribute struct {
	Group, Key, Value string
	Kind              Kind
}

// Kind is the JSON type of an attribute's value.
type Kind uint8

// The scalar types of Proposal F.
const (
	String Kind = iota
	Bool
	Number
)

// ParseOutline reads the body of a Proposal F artifact, both revisions:
//
//	{"compatibilities": {GROUP: {KEY: SCALAR}}}
//
// The attributes come in the order of the document. Whatever is not of that
// shape is an error with row and column; nothing is half read.
func ParseOutline(body []byte) ([]Attribute, error) {
	p := &outlineParser{body: body, dec: json.NewDecoder(bytes.NewReader(body))}
	p.dec.UseNumber()
	if err := p.document(); err != nil {
		row, column := position(body, p.offset(err))
		return nil, fmt.Errorf("row %d, column %d: %w", row, column, err)
	}
	return p.attributes, nil
}

type outlineParser struct {
	body       []byte
	dec        *json.Decoder
	attributes []Attribute
}

func (p *outlineParser) document() error {
	found := false
	err := p.object("the document", func(key string) error {
		if key != "compatibilities" {
			var skipped json.RawMessage // said by nobody yet, so left for later revisions
			return p.dec.Decode(&skipped)
		}
		found = true
		return p.object("compatibilities", p.group)
	})
	if err != nil {
		return err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the end of the document")
	}
	if !found {
		return errors.New(`key "compatibilities" is missing`)
	}
	return nil
}

func (p *outlineParser) group(group string) error {
	return p.object(fmt.Sprintf("group %q", group), func(key string) error {
		if len(p.attributes) == maxOutlineAttributes {
			return fmt.Errorf("more than %d attributes", maxOutlineAttributes)
		}
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		a := Attribute{Group: group, Key: key}
		switch v := token.(type) {
		case bool:
			a.Kind, a.Value = Bool, fmt.Sprint(v)
		case json.Number:
			a.Kind, a.Value = Number, v.String()
		case string:
			a.Kind, a.Value = String, v
		default:
			return fmt.Errorf("group %q, key %q: expected true, false, a number or a string, found %s", group, key, describe(token))
		}
		p.attributes = append(p.attributes, a)
		return nil
	})
}

// object reads one JSON object and hands each key to member, which reads the
// value. A key that stands twice is an error: readers would not agree on which
// of the two counts.
func (p *outlineParser) object(what string, member func(key string) error) error {
	token, err := p.dec.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return fmt.Errorf("expected %s to be an object, found %s", what, describe(token))
	}
	seen := map[string]bool{}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		key := token.(string) // the decoder has no other token here
		if seen[key] {
			return fmt.Errorf("%s has the key %q twice", what, key)
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
	_, err = p.dec.Token()
	return err
}

func (p *outlineParser) offset(err error) int64 {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Offset
	}
	return p.dec.InputOffset()
}

func describe(token json.Token) string {
	switch token {
	case nil:
		return "null"
	case json.Delim('{'):
		return "an object"
	case json.Delim('['):
		return "a list"
	}
	return fmt.Sprintf("%q", fmt.Sprint(token))
}

func position(body []byte, offset int64) (row, column int) {
	read := body[:min(max(offset, 0), int64(len(body)))]
	row = 1 + bytes.Count(read, []byte("\n"))
	return row, len(read) - bytes.LastIndexByte(read, '\n')
}
