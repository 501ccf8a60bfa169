package author

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// parseJSON reads one JSON document with the places of its values.
func parseJSON(body []byte) (*node, error) {
	p := &jsonReader{body: body, dec: json.NewDecoder(bytes.NewReader(body))}
	p.dec.UseNumber()
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			p.at = int(syntax.Offset) - 1
		}
		return nil, p.errorf("%s", err)
	}
	if !utf8.Valid(body) {
		return nil, p.errorf("the text is not UTF-8")
	}
	root, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, p.errorf("something follows the document")
	}
	return root, nil
}

type jsonReader struct {
	body  []byte
	dec   *json.Decoder
	at    int // where the last token begins
	nodes int
}

func (p *jsonReader) errorf(format string, args ...any) error {
	row, column := place(p.body, p.at)
	return &syntaxError{row, column, fmt.Sprintf(format, args...)}
}

func (p *jsonReader) next() (json.Token, error) {
	at := int(p.dec.InputOffset())
	between := p.body[at:]
	p.at = at + len(between) - len(bytes.TrimLeft(between, " \t\r\n,:"))
	token, err := p.dec.Token()
	if err != nil {
		return nil, p.errorf("%s", err)
	}
	return token, nil
}

func (p *jsonReader) value(depth int) (*node, error) {
	token, err := p.next()
	if err != nil {
		return nil, err
	}
	p.nodes++
	if p.nodes > maxNodes || depth > maxDepth {
		return nil, p.errorf("more than %d values, or nested deeper than %d", maxNodes, maxDepth)
	}
	n := &node{at: p.at, start: p.at, length: int(p.dec.InputOffset()) - p.at}
	switch v := token.(type) {
	case json.Delim:
		n.length = -1
		if v == '{' {
			return n, p.mapping(n, depth)
		}
		return n, p.list(n, depth)
	case string:
		n.tag, n.value = "str", v
		n.at, n.length = n.at+1, n.length-2
		if string(p.body[n.at:n.at+n.length]) != v { // written with escapes
			n.length = -1
		}
	case json.Number:
		n.tag, n.value = "int", v.String()
		if bytes.ContainsAny([]byte(n.value), ".eE") {
			n.tag = "float"
		}
	case bool:
		n.tag, n.value = "bool", strconv.FormatBool(v)
	default:
		n.tag, n.value = "null", "null"
	}
	return n, nil
}

func (p *jsonReader) list(n *node, depth int) error {
	n.kind = list
	for p.dec.More() {
		member, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.values = append(n.values, member)
	}
	_, err := p.next()
	return err
}

func (p *jsonReader) mapping(n *node, depth int) error {
	n.kind = mapping
	for p.dec.More() {
		key, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.keys = append(n.keys, key)
		n.values = append(n.values, value)
	}
	_, err := p.next()
	return err
}
