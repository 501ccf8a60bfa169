package spec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/version"
)

const maxIntervals = 64

// parseRanges reads intervals of versions, and returns the terms of each. It
// takes "[4.19, 5.16)" of Proposal H, where one end may be left out and several
// intervals follow one another, and ">=2.31, <=2.37" of Proposal I. A
// bare version is that one or any later: kernels and C libraries keep what they
// once offered.
func parseRanges(element, text string) ([][]compat.Term, error) {
	rest := strings.TrimSpace(text)
	if rest == "" || rest[0] != '[' && rest[0] != '(' {
		terms, err := parseComparisons(element, text)
		return [][]compat.Term{terms}, err
	}
	var all [][]compat.Term
	for rest != "" {
		end := strings.IndexAny(rest, "])")
		if end < 0 || rest[0] != '[' && rest[0] != '(' || len(all) == maxIntervals {
			return nil, fmt.Errorf("%s is not a range such as [4.19, 5.16)", textutil.Quote(text))
		}
		terms, err := parseInterval(element, rest[:end+1])
		if err != nil {
			return nil, err
		}
		all = append(all, terms)
		rest = strings.TrimLeft(rest[end+1:], " ,|")
	}
	return all, nil
}

// parseInterval reads "[a, b)": a bracket includes its end, a parenthesis does
// not.
func parseInterval(element, text string) ([]compat.Term, error) {
	last := len(text) - 1
	from, to, ok := strings.Cut(text[1:last], ",")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if !ok || from == "" && to == "" {
		return nil, fmt.Errorf("%s is not a range such as [4.19, 5.16)", textutil.Quote(text))
	}
	ends := []struct {
		value string
		op    compat.Op
	}{
		{from, map[byte]compat.Op{'[': compat.Ge, '(': compat.Gt}[text[0]]},
		{to, map[byte]compat.Op{']': compat.Le, ')': compat.Lt}[text[last]]},
	}
	var terms []compat.Term
	for _, end := range ends {
		if end.value == "" {
			continue
		}
		if err := CheckVersion(end.value); err != nil {
			return nil, err
		}
		terms = append(terms, compat.Term{Element: element, Op: end.op, Values: []string{end.value}})
	}
	if order, ok := version.Compare(from, to); ok && order > 0 {
		return nil, fmt.Errorf("%s ends before it begins", textutil.Quote(text))
	}
	return terms, nil
}

// parseComparisons reads ">=2.31, <=2.37"; all of them hold.
func parseComparisons(element, text string) ([]compat.Term, error) {
	var terms []compat.Term
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		value := strings.TrimLeft(part, "<>=")
		symbol := part[:len(part)-len(value)]
		value = strings.TrimSpace(value)
		if part == "" && len(terms) > 0 {
			continue // a comma behind the last one
		}
		if err := CheckVersion(value); err != nil {
			return nil, err
		}
		switch symbol {
		case "":
			symbol = ">="
		case "==":
			symbol = "="
		}
		ops := OpsOf(symbol)
		if len(ops) == 0 {
			return nil, fmt.Errorf("%s is not a comparison", textutil.Quote(part))
		}
		for _, op := range ops {
			terms = append(terms, compat.Term{Element: element, Op: op, Values: []string{value}})
		}
		if len(terms) > maxIntervals {
			return nil, errors.New("too many comparisons")
		}
	}
	return terms, nil
}

// OpsOf returns the comparisons that a symbol such as ">=" stands for, of which
// all hold: 8 and 8.0 are the same version, so "=" is two.
func OpsOf(symbol string) []compat.Op {
	return map[string][]compat.Op{
		"<": {compat.Lt}, "<=": {compat.Le}, "=": {compat.Ge, compat.Le}, ">": {compat.Gt}, ">=": {compat.Ge},
	}[symbol]
}

// CheckVersion wants nothing behind the numbers that would be left out.
func CheckVersion(text string) error {
	if _, ok := version.Parse(text); !ok || strings.ContainsAny(text, " \t,;|[]()<>") {
		return fmt.Errorf("%s is not a version", textutil.Quote(text))
	}
	return nil
}
