package catalog

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Expression is a parsed query.
type Expression struct {
	text string
	root node
}

// SyntaxError is what is wrong with a query, and where.
type SyntaxError struct {
	Text   string // of the query
	Offset int    // in bytes
	Reason string
}

// Error implements error: the query, and a caret below the place.
func (e *SyntaxError) Error() string {
	column := utf8.RuneCountInString(e.Text[:e.Offset]) + 1
	return fmt.Sprintf("query: column %d: %s\n  %s\n  %s^", column, e.Reason, e.Text, strings.Repeat(" ", column-1))
}

const (
	// maxExpression and maxDepthOf bound a query.
	maxExpression = 16 << 10
	maxDepthOf    = 64
	maxTerms      = 256
)

// token is a word, a text in quotes, or an operator.
type token struct {
	kind   byte // 'w' word, 's' text, 'o' operator, 0 the end
	text   string
	offset int
}

func (t token) String() string {
	if t.kind == 0 {
		return "the end"
	}
	return `"` + t.text + `"`
}

// tokens splits a query. Words reach to white space, a parenthesis or an operator.
func tokens(text string) ([]token, error) {
	var all []token
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case unicode.IsSpace(r):
			i += size
		case r == '"' || r == '\'':
			end := strings.IndexRune(text[i+1:], r)
			if end < 0 {
				return nil, &SyntaxError{text, i, "the quote is not closed"}
			}
			all = append(all, token{'s', text[i+1 : i+1+end], i})
			i += end + 2
		case strings.ContainsRune("()", r):
			all = append(all, token{'o', string(r), i})
			i++
		case strings.ContainsRune("=!<>~", r):
			end := i + 1
			for end < len(text) && end < i+2 && strings.ContainsRune("=~", rune(text[end])) {
				end++
			}
			all = append(all, token{'o', text[i:end], i})
			i = end
		default:
			end := i
			for end < len(text) {
				r, size := utf8.DecodeRuneInString(text[end:])
				if unicode.IsSpace(r) || strings.ContainsRune(`()=!<>~"'`, r) {
					break
				}
				end += size
			}
			all = append(all, token{'w', text[i:end], i})
			i = end
		}
	}
	return append(all, token{0, "", len(text)}), nil
}

// node is a part of a query.
type node any

type (
	andNode  struct{ parts []node }
	orNode   struct{ parts []node }
	notNode  struct{ part node }
	compared struct {
		field  field
		op     string
		value  string
		offset int
	}
	// asked is about attributes: requires kernel.version >= 6
	asked struct {
		verb, key, op, value string
		offset               int
	}
)

// ParseExpression parses a query.
func ParseExpression(text string) (*Expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("query: it has %d bytes, at most %d are read", len(text), maxExpression)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("query: it is not valid UTF-8")
	}
	all, err := tokens(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, left: all}
	if p.peek().kind == 0 {
		return &Expression{text, andNode{}}, nil
	}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != 0 {
		return nil, p.fail(t, "expected and, or, or the end, found "+t.String())
	}
	return &Expression{text, root}, nil
}

type parser struct {
	text  string
	left  []token
	terms int
}

func (p *parser) peek() token { return p.left[0] }

func (p *parser) next() token {
	t := p.left[0]
	if t.kind != 0 {
		p.left = p.left[1:]
	}
	return t
}

func (p *parser) fail(t token, reason string) error {
	return &SyntaxError{p.text, t.offset, reason}
}

func (p *parser) isWord(word string) bool {
	t := p.peek()
	return t.kind == 'w' && strings.EqualFold(t.text, word)
}

func (p *parser) or(depth int) (node, error) {
	var parts []node
	for {
		part, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); !p.isWord("or") {
			break
		}
		p.next()
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return orNode{parts}, nil
}

func (p *parser) and(depth int) (node, error) {
	var parts []node
	for {
		part, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); !p.isWord("and") {
			break
		}
		p.next()
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return andNode{parts}, nil
}

func (p *parser) not(depth int) (node, error) {
	if depth > maxDepthOf {
		return nil, p.fail(p.peek(), fmt.Sprintf("more than %d levels of not and parentheses", maxDepthOf))
	}
	if p.isWord("not") {
		p.next()
		part, err := p.not(depth + 1)
		return notNode{part}, err
	}
	if t := p.peek(); t.kind == 'o' && t.text == "(" {
		p.next()
		inner, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if end := p.next(); end.text != ")" || end.kind != 'o' {
			return nil, p.fail(end, "expected ), found "+end.String())
		}
		return inner, nil
	}
	return p.term()
}

// term parses a comparison.
func (p *parser) term() (node, error) {
	t := p.next()
	if p.terms++; p.terms > maxTerms {
		return nil, p.fail(t, fmt.Sprintf("more than %d conditions", maxTerms))
	}
	if t.kind != 'w' {
		return nil, p.fail(t, "expected a field, a verb such as requires, not, or (, found "+t.String())
	}
	if word := strings.ToLower(t.text); isVerb(word) {
		return p.asked(word)
	}
	f, ok := fieldNamed(strings.ToLower(t.text))
	if !ok {
		return nil, p.fail(t, unknownField(t.text))
	}
	op := p.peek()
	if op.kind != 'o' || op.text == "(" || op.text == ")" {
		if f.kind == truth {
			return compared{field: f, op: "=", value: "true", offset: t.offset}, nil
		}
		return nil, p.fail(op, "expected an operator after "+f.name+": "+strings.Join(f.ops(), " "))
	}
	p.next()
	value, err := p.value(op)
	if err != nil {
		return nil, err
	}
	if err := f.check(op.text, value.text); err != nil {
		at := value
		if !f.isOp(op.text) {
			at = op
		}
		return nil, p.fail(at, err.Error())
	}
	return compared{field: f, op: op.text, value: value.text, offset: t.offset}, nil
}

func (p *parser) value(op token) (token, error) {
	t := p.next()
	if t.kind != 'w' && t.kind != 's' {
		return t, p.fail(t, "expected a value after "+op.text+", found "+t.String())
	}
	return t, nil
}

// asked parses what comes after a verb: an attribute, and what it is compared with.
func (p *parser) asked(verb string) (node, error) {
	key := p.next()
	if key.kind != 'w' && key.kind != 's' {
		return nil, p.fail(key, "expected an attribute after "+verb+", such as kernel.version or cpu.cpuid.AVX2, found "+key.String())
	}
	a := asked{verb: verb, key: key.text, offset: key.offset}
	op := p.peek()
	if op.kind != 'o' || op.text == "(" || op.text == ")" {
		return a, nil
	}
	p.next()
	value, err := p.value(op)
	if err != nil {
		return nil, err
	}
	a.op, a.value = op.text, value.text
	switch a.op {
	case "=", "~":
	case "<", "<=", ">", ">=":
		if versionKey(a.value) == "" {
			return nil, p.fail(value, value.String()+" is not a number or a version, which "+a.op+" compares")
		}
	default:
		return nil, p.fail(op, "attributes are compared with = ~ < <= > >=, found "+op.String())
	}
	return a, nil
}
