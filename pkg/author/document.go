package author

import (
	"bytes"
	"fmt"
	"strings"
)

// What a document may hold, as in package compat.
const (
	maxDocument = 1 << 20
	maxNodes    = 100_000
	maxDepth    = 32
)

// kind is what a node of a document is.
type kind uint8

const (
	scalar kind = iota
	list
	mapping
)

// node is a value in a document together with the bytes it is written with.
type node struct {
	kind  kind
	tag   string // of a scalar: str, int, float, bool, null
	value string // of a scalar
	// at and length say where the text of a scalar stands, without quotes.
	// Where length is -1, it is not written as it is read, so it is not edited.
	at, length int
	start      int     // where the node begins, with its quotes
	keys       []*node // of a mapping
	values     []*node // of a mapping or a list
}

// field returns the value of a key of a mapping, or nil. It may be asked of
// nil.
func (n *node) field(name string) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	for i, key := range n.keys {
		if key.value == name {
			return n.values[i]
		}
	}
	return nil
}

// key returns the key itself, or nil.
func (n *node) key(name string) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	for _, key := range n.keys {
		if key.value == name {
			return key
		}
	}
	return nil
}

// members are those of a list, and none of anything else.
func (n *node) members() []*node {
	if n == nil || n.kind != list {
		return nil
	}
	return n.values
}

func (n *node) isNull() bool { return n == nil || n.kind == scalar && n.tag == "null" }

// text is the value of a scalar, and nothing of anything else.
func (n *node) text() string {
	if n.isNull() || n.kind != scalar {
		return ""
	}
	return n.value
}

// texts are the values of a scalar or of a list of them.
func (n *node) texts() []*node {
	switch {
	case n.isNull():
		return nil
	case n.kind == scalar:
		return []*node{n}
	default:
		return n.members()
	}
}

// syntaxError is a document that is neither JSON nor YAML.
type syntaxError struct {
	row, column int
	text        string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("row %d, column %d: %s", e.row, e.column, e.text)
}

// parseDocument reads JSON, or YAML where it does not begin like JSON.
func parseDocument(body []byte) (*node, error) {
	if len(body) > maxDocument {
		return nil, &syntaxError{1, 1, fmt.Sprintf("the document has %d bytes, more than %d", len(body), maxDocument)}
	}
	if isJSON(body) {
		return parseJSON(body)
	}
	return parseYAML(body)
}

func isJSON(body []byte) bool {
	start := bytes.TrimLeft(body, " \t\r\n")
	return len(start) > 0 && (start[0] == '{' || start[0] == '[')
}

// place turns an offset into a row and a column, both from 1, in bytes.
func place(body []byte, offset int) (row, column int) {
	read := body[:min(max(offset, 0), len(body))]
	return 1 + bytes.Count(read, []byte("\n")), len(read) - bytes.LastIndexByte(read, '\n')
}

// same reports whether two documents say the same but for the scalars that
// other may differ in.
func same(a, b *node, differs func(a, b *node) bool) bool {
	if a.kind != b.kind || len(a.keys) != len(b.keys) || len(a.values) != len(b.values) {
		return false
	}
	if a.kind == scalar {
		return a.tag == b.tag && a.value == b.value || differs(a, b)
	}
	for i := range a.keys {
		if !same(a.keys[i], b.keys[i], differs) {
			return false
		}
	}
	for i := range a.values {
		if !same(a.values[i], b.values[i], differs) {
			return false
		}
	}
	return true
}

func cut(s string) string {
	const limit = 120
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
