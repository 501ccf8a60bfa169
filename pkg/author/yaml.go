package author

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlRow finds the row in an error of the YAML parser.
const yamlRow = `^yaml: (?:unmarshal errors:\s*)?line (\d+): `

// parseYAML reads one YAML document with the places of its values. It has no
// anchors and aliases: a short text could stand for a huge one.
func parseYAML(body []byte) (*node, error) {
	if !utf8.Valid(body) {
		return nil, &syntaxError{1, 1, "the text is not UTF-8"}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF) || err == nil && len(document.Content) != 1:
		return nil, &syntaxError{1, 1, "the document is empty"}
	case err != nil:
		return nil, yamlError(err)
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		return nil, &syntaxError{more.Line, more.Column, "there is more than one document"}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	p := &yamlReader{body: body, rows: rowsOf(body)}
	return p.value(document.Content[0], 0)
}

func yamlError(err error) error {
	text := cut(err.Error())
	if found := regexp.MustCompile(yamlRow).FindStringSubmatch(text); found != nil {
		row, err := strconv.Atoi(found[1])
		if err == nil {
			return &syntaxError{row, 1, text[len(found[0]):]}
		}
	}
	return &syntaxError{1, 1, strings.TrimPrefix(text, "yaml: ")}
}

type yamlReader struct {
	body  []byte
	rows  []int // where each row begins
	nodes int
}

func rowsOf(body []byte) []int {
	rows := []int{0}
	for i, b := range body {
		if b == '\n' {
			rows = append(rows, i+1)
		}
	}
	return rows
}

// offset is where a row and a column are; the parser counts columns in
// characters.
func (p *yamlReader) offset(row, column int) int {
	if row < 1 || row > len(p.rows) {
		return 0
	}
	at := p.rows[row-1]
	for ; column > 1 && at < len(p.body); column-- {
		_, size := utf8.DecodeRune(p.body[at:])
		at += size
	}
	return at
}

func (p *yamlReader) value(y *yaml.Node, depth int) (*node, error) {
	p.nodes++
	switch {
	case p.nodes > maxNodes || depth > maxDepth:
		return nil, &syntaxError{y.Line, y.Column, fmt.Sprintf("more than %d values, or nested deeper than %d", maxNodes, maxDepth)}
	case y.Kind == yaml.AliasNode || y.Anchor != "":
		return nil, &syntaxError{y.Line, y.Column, "anchors and aliases are not read"}
	}
	n := &node{start: p.offset(y.Line, y.Column), length: -1}
	n.at = n.start
	var err error
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapping
		for i := 0; i+1 < len(y.Content) && err == nil; i += 2 {
			var key, value *node
			if key, err = p.value(y.Content[i], depth+1); err == nil {
				value, err = p.value(y.Content[i+1], depth+1)
			}
			n.keys, n.values = append(n.keys, key), append(n.values, value)
		}
	case yaml.SequenceNode:
		n.kind = list
		for i := 0; i < len(y.Content) && err == nil; i++ {
			var member *node
			member, err = p.value(y.Content[i], depth+1)
			n.values = append(n.values, member)
		}
	default:
		n.tag, n.value = strings.TrimPrefix(y.ShortTag(), "!!"), y.Value
		p.locate(n, y.Style)
	}
	return n, err
}

// locate finds the text of a scalar, if it is written as it is read.
func (p *yamlReader) locate(n *node, style yaml.Style) {
	quote := ""
	switch style {
	case yaml.DoubleQuotedStyle:
		quote = `"`
	case yaml.SingleQuotedStyle:
		quote = `'`
	case 0:
	default:
		return
	}
	if n.value != "" && bytes.HasPrefix(p.body[n.start:], []byte(quote+n.value+quote)) {
		n.at, n.length = n.start+len(quote), len(n.value)
	}
}
