package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
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
	err := p.syntax()
	if err == nil {
		err = p.document()
	}
	if err != nil {
		return nil, p.errorAt(err)
	}
	return p.attributes, nil
}

var errNotUTF8 = errors.New("the text is not UTF-8")

func (p *outlineParser) errorAt(err error) error {
	row, column := position(p.body, p.at)
	return fmt.Errorf("row %d, column %d: %w", row, column, err)
}

type outlineParser struct {
	body       []byte
	dec        *json.Decoder
	at         int64 // where in the body the last token begins, or the error is
	attributes []Attribute
}

// syntax looks at the whole text first: a decoder that goes token by token
// does not know the offsets of its syntax errors.
func (p *outlineParser) syntax() error {
	for i := 0; i < len(p.body); {
		r, size := utf8.DecodeRune(p.body[i:])
		if r == utf8.RuneError && size == 1 {
			p.at = int64(i)
			return errNotUTF8
		}
		i += size
	}
	var whole json.RawMessage
	err := json.Unmarshal(p.body, &whole)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		p.at = syntax.Offset - 1 // the offset is that behind the offending byte
	}
	return err
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
	if err == nil && !found {
		return errors.New(`key "compatibilities" is missing`)
	}
	return err
}

func (p *outlineParser) group(group string) error {
	return p.object("group "+quoted(group), func(key string) error {
		token, err := p.next()
		if err != nil {
			return err
		}
		if len(p.attributes) == maxOutlineAttributes {
			return fmt.Errorf("more than %d attributes", maxOutlineAttributes)
		}
		a := Attribute{Group: group, Key: key}
		switch v := token.(type) {
		case bool:
			a.Kind, a.Value = Bool, strconv.FormatBool(v)
		case json.Number:
			a.Kind, a.Value = Number, v.String()
		case string:
			a.Kind, a.Value = String, v
		default:
			return fmt.Errorf("group %s, key %s: expected true, false, a number or a string, found %s",
				quoted(group), quoted(key), describe(token))
		}
		p.attributes = append(p.attributes, a)
		return nil
	})
}

// object reads one JSON object and hands each key to member, which reads the
// value. A key that stands twice is an error: readers would not agree on which
// of the two counts.
func (p *outlineParser) object(what string, member func(key string) error) error {
	token, err := p.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return fmt.Errorf("expected %s to be an object, found %s", what, describe(token))
	}
	seen := map[string]bool{}
	for p.dec.More() {
		token, err := p.next()
		if err != nil {
			return err
		}
		key := token.(string) // the decoder has no other token here
		if seen[key] {
			return fmt.Errorf("%s has the key %s twice", what, quoted(key))
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
	_, err = p.next()
	return err
}

// next reads one token and notes where it begins.
func (p *outlineParser) next() (json.Token, error) {
	at := p.dec.InputOffset()
	between := p.body[at:]
	p.at = at + int64(len(between)-len(bytes.TrimLeft(between, " \t\r\n,:")))
	return p.dec.Token()
}

func describe(token json.Token) string {
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return "an object"
		}
		return "a list"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case bool:
		return strconv.FormatBool(v)
	default:
		return "null"
	}
}

// quoted is s in quotes, cut where it is too long to be read.
func quoted(s string) string { return strconv.Quote(shortened(s)) }

func position(body []byte, offset int64) (row, column int) {
	read := body[:min(max(offset, 0), int64(len(body)))]
	row = 1 + bytes.Count(read, []byte("\n"))
	return row, len(read) - bytes.LastIndexByte(read, '\n')
}
