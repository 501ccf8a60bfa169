package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/internal/textutil"
)

// parseYAML reads one document of YAML. It has no anchors, aliases, merge keys
// or tags of its own, with which a short text can expand to a huge one.
func parseYAML(body []byte) (*Node, error) {
	if len(body) > maxYAML {
		return nil, tooLarge(body, maxYAML)
	}
	if yamlValues(body) > maxYAMLValues {
		return nil, &Error{Err: fmt.Errorf("the document may have more than %d values", maxYAMLValues)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(document.Content) != 1:
		return nil, &Error{1, 1, syntaxError{errors.New("the document is empty")}}
	case err != nil:
		return nil, YAMLError(err)
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		return nil, &Error{more.Line, more.Column, errors.New("there is more than one document")}
	case !errors.Is(err, io.EOF):
		return nil, YAMLError(err)
	}
	r := &yamlReader{body: body, rows: []int{0}}
	for i, b := range body {
		if b == '\n' {
			r.rows = append(r.rows, i+1)
		}
	}
	root, err := r.value(document.Content[0], 1)
	if err != nil {
		return nil, err
	}
	return root, nil
}

// YAMLError is an error of the YAML parser, which knows only rows, and does not
// name the first.
func YAMLError(err error) error {
	text := textutil.Short(err.Error())
	found := regexp.MustCompile(`^yaml: (?:unmarshal errors:\s*)?line (\d+): `).FindStringSubmatch(text)
	if found == nil {
		return &Error{1, 0, syntaxError{errors.New(strings.TrimPrefix(text, "yaml: "))}}
	}
	row, err := strconv.Atoi(found[1])
	if err != nil {
		row = 1
	}
	return &Error{row, 0, syntaxError{errors.New(text[len(found[0]):])}}
}

// yamlReader turns the tree of the YAML parser into ours.
type yamlReader struct {
	body  []byte
	rows  []int // where each row begins
	nodes int
	last  place // of the node before, from which the next is found
}

// place is a row and a column in characters, and the offset of both.
type place struct{ row, column, offset int }

// offset is where a row and a column are: the parser counts columns in
// characters. Nodes come in the order of the text, so each row is read once.
func (r *yamlReader) offset(row, column int) int {
	if row < 1 || row > len(r.rows) {
		return 0
	}
	at := place{row, 1, r.rows[row-1]}
	if r.last.row == row && r.last.column <= column {
		at = r.last
	}
	for ; at.column < column && at.offset < len(r.body); at.column++ {
		_, size := utf8.DecodeRune(r.body[at.offset:])
		at.offset += size
	}
	r.last = at
	return at.offset
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*Node, error) {
	n := &Node{Row: y.Line, Column: y.Column, Start: r.offset(y.Line, y.Column), Length: -1}
	if y.Line >= 1 && y.Line <= len(r.rows) {
		n.Column = n.Start - r.rows[y.Line-1] + 1
	}
	n.At = n.Start
	r.nodes++
	plainTags := []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq"} // no merge key
	switch {
	case r.nodes >= maxNodes:
		return nil, n.Errorf("more than %d values", maxNodes)
	case depth > maxDepth:
		return nil, n.Errorf("nested deeper than %d", maxDepth)
	case y.Kind == yaml.AliasNode || y.Anchor != "":
		return nil, n.Errorf("anchors and aliases are not read")
	case !slices.Contains(plainTags, y.ShortTag()):
		return nil, n.Errorf("the tag %s is not read", textutil.Quote(y.ShortTag()))
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.Kind = Mapping
		return n, r.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = List
		for _, child := range y.Content {
			member, err := r.value(child, depth+1)
			if err != nil {
				return nil, err
			}
			n.Values = append(n.Values, member)
		}
	default:
		n.Tag, n.Value = strings.TrimPrefix(y.ShortTag(), "!!"), y.Value
		quotes := map[yaml.Style]string{yaml.DoubleQuotedStyle: `"`, yaml.SingleQuotedStyle: `'`, 0: ""}
		mark, ok := quotes[y.Style]
		if ok && n.Value != "" && bytes.HasPrefix(r.body[n.Start:], []byte(mark+n.Value+mark)) { // written as it reads
			n.At, n.Length = n.Start+len(mark), len(n.Value)
		}
	}
	return n, nil
}

func (r *yamlReader) mapping(n *Node, y *yaml.Node, depth int) error {
	seen := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, err := r.value(y.Content[i], depth+1)
		switch {
		case err != nil:
			return err
		case key.Kind != Scalar:
			return key.Errorf("a key must be a string")
		case seen[key.Value]:
			return key.twice()
		}
		seen[key.Value] = true
		value, err := r.value(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		n.Keys, n.Values = append(n.Keys, key), append(n.Values, value)
	}
	return nil
}
