package dialect

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/version"
)

// What the regular expressions of one spec may add up to. A pattern is compared
// with thousands of names, and one of a few bytes can be huge once compiled.
const (
	maxPatternText = 1_000
	maxPattern     = 1_000  // instructions of one
	maxPatterns    = 10_000 // instructions of all
)

// expression reads one match expression: {op, value, type}, or in short null
// (it exists), a value or a list of values (it is one of them).
func (p *nfdParser) expression(req *compat.Requirement, element string, n *document.Node) (*compat.Term, error) {
	if err := p.another(n); err != nil {
		return nil, err
	}
	t := &compat.Term{Element: element}
	var err error
	switch {
	case n.IsNull():
		t.Op = compat.Exists
	case n.Kind == document.Mapping:
		err = p.fullExpression(t, n)
	default:
		t.Op = compat.In
		t.Values, err = valuesOf(n)
	}
	if err != nil {
		return nil, err
	}
	if why, ok := knownOp(t.Op); !ok { // a later version may know it
		req.Key = strings.TrimSpace(req.Key + " " + element)
		req.Unclear = why
		return t, nil
	}
	return t, p.validate(t, n)
}

func (p *nfdParser) fullExpression(t *compat.Term, n *document.Node) error {
	op := ""
	err := n.Each("an expression", func(key, value *document.Node) (err error) {
		switch key.Value {
		case "op":
			op, err = value.AsText("op")
		case "value":
			t.Values, err = valuesOf(value)
		case "type":
			var kind string
			if kind, err = value.AsText("type"); err == nil && kind != "" && kind != "version" {
				err = value.Errorf("type is %s, not version", textutil.Quote(kind))
			}
			t.Version = kind == "version"
		default:
			err = key.UnknownKey("an expression", "op", "value", "type")
		}
		return err
	})
	if t.Op = compat.Op(op); op == "" {
		t.Op = compat.Any
	}
	return err
}

// valuesOf reads a list of values; one alone need not be in a list.
func valuesOf(n *document.Node) ([]string, error) {
	if n.Kind == document.Scalar {
		value, err := n.AsText("value")
		return []string{value}, err
	}
	return eachOf(n, "value", func(_ int, member *document.Node) (string, error) { return member.AsText("a value") })
}

// knownOp says what is wrong with an operator that is not NFD's.
func knownOp(op compat.Op) (why string, ok bool) {
	if slices.Contains(compat.Ops(), op) {
		return "", true
	}
	var names []string
	for _, known := range compat.Ops() {
		names = append(names, string(known))
	}
	near := textutil.Nearest(string(op), names)
	switch op {
	case "Gte":
		near = string(compat.Ge)
	case "Lte":
		near = string(compat.Le)
	}
	if near != "" {
		near = " (is " + near + " meant?)"
	}
	return fmt.Sprintf("the operator %s is not known%s", textutil.Quote(string(op)), near), false
}

func (p *nfdParser) validate(t *compat.Term, n *document.Node) error {
	given, want := len(t.Values), t.Op.Values()
	switch {
	case want < 0 && given == 0:
		return n.Errorf("op %s needs a value", t.Op)
	case t.Op == compat.Any && given > 0:
		return n.Errorf(`op "" has %d values, not 0`, given)
	case want >= 0 && given != want:
		return n.Errorf("op %s has %d values, not %d", t.Op, given, want)
	case t.Op == compat.InRegexp:
		return p.compile(t, n)
	case want > 0:
		return validateNumbers(t, n)
	default:
		return nil
	}
}

// validateNumbers refuses what nothing can be compared with.
func validateNumbers(t *compat.Term, n *document.Node) error {
	kind := map[bool]string{false: "number", true: "version"}[t.Version]
	for _, value := range t.Values {
		_, err := strconv.Atoi(value)
		if _, isVersion := version.Parse(value); !isVersion && (err != nil || t.Version) {
			return n.Errorf("%s is not a %s", textutil.Quote(value), kind)
		}
	}
	if len(t.Values) == 2 {
		low, high := t.Values[0], t.Values[1]
		a, errA := strconv.Atoi(low)
		b, errB := strconv.Atoi(high)
		c, ok := version.Compare(low, high)
		if errA == nil && errB == nil && a >= b || ok && c >= 0 {
			return n.Errorf("%s is not less than %s", textutil.Quote(low), textutil.Quote(high))
		}
	}
	return nil
}

func (p *nfdParser) compile(t *compat.Term, n *document.Node) error {
	for _, pattern := range t.Values {
		if len(pattern) > maxPatternText {
			return n.Errorf("a regular expression has %d bytes, more than %d", len(pattern), maxPatternText)
		}
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			return n.Errorf("read %s: %w", textutil.Quote(pattern), err)
		}
		size := instructions(parsed)
		if p.pattern += size; size > maxPattern || p.pattern > maxPatterns {
			return n.Errorf("the regular expression %s is too large, or one too many", textutil.Quote(pattern))
		}
		t.Programs = append(t.Programs, size)
	}
	return nil
}

// instructions is about how many instructions the expression has once it is
// compiled, told without doing so.
func instructions(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += instructions(sub)
		if n > maxPatterns {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1) + 1
	}
	return min(n, maxPatterns+1)
}
