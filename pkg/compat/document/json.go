package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/imagefit/imagefit/internal/textutil"
)

// What a document may hold; real ones have a few kilobytes. YAML takes far
// longer to read than JSON of the same size, and its parser far more memory.
const (
	maxJSON       = 4 << 20
	maxYAML       = 1 << 20
	maxNodes      = 50_000
	maxYAMLValues = 50_000
	maxDepth      = 32
)

// errSyntax is matched by errors about a text that is not JSON or not YAML.
var errSyntax = errors.New("syntax")

// IsSyntax reports whether an error says that a text is not a document at all,
// rather than one that is not allowed.
func IsSyntax(err error) bool { return errors.Is(err, errSyntax) }

// syntaxError matches errSyntax without naming it.
type syntaxError struct{ error }

func (syntaxError) Is(target error) bool { return target == errSyntax }

// Parse reads one document of JSON or YAML.
func Parse(body []byte) (*Node, error) {
	root, _, err := Read(body)
	return root, err
}

// Read is Parse, and tells whether the document is JSON.
func Read(body []byte) (root *Node, isJSON bool, err error) {
	jsonErr := checkJSON(body)
	if jsonErr == nil {
		root, err = jsonTree(body)
		return root, true, err
	}
	if !utf8.Valid(body) {
		return nil, false, jsonErr
	}
	meantJSON := bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	if meantJSON && len(body) > maxYAML {
		return nil, true, jsonErr
	}
	root, err = parseYAML(body)
	if meantJSON && IsSyntax(err) {
		return nil, true, jsonErr
	}
	return root, false, err
}

// ParseJSON reads one document of JSON.
func ParseJSON(body []byte) (*Node, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	return jsonTree(body)
}

func tooLarge(body []byte, limit int) error {
	return &Error{Err: fmt.Errorf("the document has %d bytes, more than %d", len(body), limit)}
}

// checkJSON looks at the whole text first: a decoder that goes token by token
// does not know the offsets of its syntax errors, and takes what is not UTF-8.
func checkJSON(body []byte) error {
	if len(body) > maxJSON {
		return tooLarge(body, maxJSON)
	}
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size == 1 {
			return ErrorAt(body, i, syntaxError{errors.New("the text is not UTF-8")})
		}
		i += size
	}
	if json.Valid(body) {
		return nil
	}
	var whole json.RawMessage
	err := json.Unmarshal(body, &whole)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return ErrorAt(body, int(syntax.Offset)-1, syntaxError{err}) // the offset is behind the offending byte
	}
	return err
}

// ErrorAt is an error about the byte of a document at an offset.
func ErrorAt(body []byte, offset int, err error) error {
	read := body[:max(offset, 0)]
	return &Error{1 + bytes.Count(read, []byte("\n")), len(read) - bytes.LastIndexByte(read, '\n'), err}
}

// jsonTree reads a text that is valid JSON.
func jsonTree(body []byte) (*Node, error) {
	r := &jsonReader{body: body, dec: json.NewDecoder(bytes.NewReader(body)), row: 1}
	r.dec.UseNumber()
	root, err := r.value(0)
	if err != nil {
		return nil, err
	}
	return root, nil
}

type jsonReader struct {
	body        []byte
	dec         *json.Decoder
	nodes       int
	row         int // of seen
	seen, begin int // how far rows were counted, and where the row begins
}

// next reads one token and makes a node of it, with its place.
func (r *jsonReader) next() (json.Token, *Node, error) {
	before := int(r.dec.InputOffset())
	between := r.body[before:]
	start := before + len(between) - len(bytes.TrimLeft(between, " \t\r\n,:"))
	token, err := r.dec.Token()
	if err != nil {
		return nil, nil, ErrorAt(r.body, start, err)
	}
	for i := r.seen; i < start; i++ {
		if r.body[i] == '\n' {
			r.row, r.begin = r.row+1, i+1
		}
	}
	r.seen = start
	return token, &Node{
		Row: r.row, Column: start - r.begin + 1,
		Start: start, At: start, Length: int(r.dec.InputOffset()) - start,
	}, nil
}

func (r *jsonReader) value(depth int) (*Node, error) {
	token, n, err := r.next()
	if err != nil {
		return nil, err
	}
	r.nodes++
	switch {
	case r.nodes > maxNodes:
		return nil, n.Errorf("more than %d values", maxNodes)
	case depth > maxDepth:
		return nil, n.Errorf("nested deeper than %d", maxDepth)
	}
	switch v := token.(type) {
	case json.Delim:
		return n, r.members(n, v, depth)
	case string:
		n.Tag, n.Value = "str", v
		n.At, n.Length = n.At+1, n.Length-2
		if string(r.body[n.At:n.At+n.Length]) != v { // written with escapes
			n.Length = -1
		}
	case json.Number:
		n.Tag, n.Value = "int", v.String()
		if bytes.ContainsAny([]byte(n.Value), ".eE") {
			n.Tag = "float"
		}
	case bool:
		n.Tag, n.Value = "bool", strconv.FormatBool(v)
	default:
		n.Tag, n.Value = "null", "null"
	}
	return n, nil
}

// members reads those of a list or a mapping, up to its end.
func (r *jsonReader) members(n *Node, open json.Delim, depth int) error {
	n.Kind, n.Length = List, -1
	seen := map[string]bool{}
	if open == '{' {
		n.Kind = Mapping
	}
	for r.dec.More() {
		if n.Kind == Mapping {
			key, err := r.value(depth + 1)
			if err != nil {
				return err
			}
			if seen[key.Value] {
				return key.twice()
			}
			seen[key.Value] = true
			n.Keys = append(n.Keys, key)
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Values = append(n.Values, value)
	}
	_, _, err := r.next()
	return err
}

// twice is the error about a key that its mapping has already: readers would not
// agree on which of the two applies.
func (n *Node) twice() error { return n.Errorf("the key %s is given twice", textutil.Quote(n.Value)) }
