package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
	"github.com/imagefit/imagefit/pkg/version"
)

// requirement makes the requirement of one attribute.
func (s boundAttribute) requirement() compat.Requirement {
	n := s.node
	req := compat.Requirement{Key: s.Name(), Set: n.Fact, Importance: n.importance(), Weight: n.Weight}
	if n.Fact == "" {
		return req.Unclearf("it is a note of the author; no fact of a node is compared with it")
	}
	value := n.normal(s.Value)
	if problem := n.makesNoSense(value, s.Attribute); problem != "" {
		return req.Unclearf("%s", problem)
	}
	switch {
	case (n.Match == matchCUDA || n.Match == matchROCm) && (n.Type != "bool" || value == "true"):
		return s.runtimeOfGPU(req, value)
	case n.Type == "bool" || n.Match == matchOption:
		return s.boolRequirement(req, value)
	case n.Match == matchDescends && !archspec.Known(value):
		return req.Unclearf("the CPU target %s is not known to this version", textutil.Quote(value))
	case n.Match == matchDescends: // the set holds the targets that the CPU runs
		req.Terms = []compat.Term{{Element: value, Op: compat.Exists}}
		return req
	case n.Match == matchRange:
		return s.rangeRequirement(req, value)
	case n.Type == "list":
		return s.listRequirement(req, value)
	}
	req.Terms = append(n.conditions(s.rest), n.terms(s.rest, value)...)
	return req
}

// runtimeOfGPU takes the version from the value, or from the key of a bool such as
// cuda12.
func (s boundAttribute) runtimeOfGPU(req compat.Requirement, value string) compat.Requirement {
	if s.node.Type == "bool" {
		value = s.rest
		if err := CheckVersion(value); err != nil {
			return req.Unclearf("%s", err)
		}
	}
	if s.node.Match == matchROCm {
		return rocmRequirement(req, value)
	}
	return cudaRequirement(req, value)
}

// normal is a value in the one spelling that facts have.
func (n *Node) normal(value string) string {
	if n.Trim != "" {
		value = strings.TrimPrefix(value, n.Trim)
	}
	switch n.Fold {
	case "lower":
		value = strings.ToLower(value)
	case "upper":
		value = strings.ToUpper(value)
	}
	for from, to := range n.Aliases {
		if strings.EqualFold(from, value) {
			return to
		}
	}
	return value
}

// makesNoSense says why a value is not of the node's type.
func (n *Node) makesNoSense(value string, a compat.Attribute) string {
	isVersion := func() bool {
		_, ok := version.Parse(value)
		// The digits of a number such as 1e400 say nothing of a version.
		return ok && (a.Kind != compat.Number || !strings.ContainsAny(a.Value, "eE"))
	}
	known := len(n.Values) == 0 || slices.Contains(n.Values, value)
	switch {
	case n.Type == "bool" && n.Match != matchOption && value != "true" && value != "false":
		return textutil.Quote(value) + " is neither true nor false"
	case (n.Type == "version" || n.Type == "int") && n.Match != matchRange && !isVersion():
		return textutil.Quote(value) + " is not a " + map[string]string{"version": "version", "int": "number"}[n.Type]
	case !known && n.Type != "list":
		return textutil.Quote(value) + " is not one of " + textutil.Short(strings.Join(n.Values, ", "))
	default:
		return ""
	}
}

// terms are the conditions of one value on the element.
func (n *Node) terms(rest, value string) []compat.Term {
	element := strings.Replace(n.Element, "*", rest, 1)
	switch {
	case element == "":
		return nil
	case n.Match == matchAtLeast:
		return []compat.Term{{Element: element, Op: compat.Ge, Values: []string{value}}}
	case n.Match == matchAtMost:
		return []compat.Term{{Element: element, Op: compat.Le, Values: []string{value}}}
	case n.Match == matchEqual && n.Type == "version": // 8 and 8.0 are the same
		return []compat.Term{{Element: element, Op: compat.Ge, Values: []string{value}}, {Element: element, Op: compat.Le, Values: []string{value}}}
	default:
		return []compat.Term{{Element: element, Op: compat.In, Values: []string{value}}}
	}
}

// conditions are the terms that the spec states itself.
func (n *Node) conditions(rest string) []compat.Term {
	terms := make([]compat.Term, 0, len(n.Where)+1)
	for _, c := range n.Where {
		term := compat.Term{Element: strings.Replace(c.Element, "*", rest, 1), Op: c.Op}
		for _, v := range c.Values {
			term.Values = append(term.Values, strings.Replace(v, "*", rest, 1))
		}
		terms = append(terms, term)
	}
	return terms
}

// boolRequirement holds where the feature is there; false asks for its absence,
// or, where the spec says so, for nothing.
func (s boundAttribute) boolRequirement(req compat.Requirement, value string) compat.Requirement {
	n := s.node
	element := strings.Replace(n.Element, "*", s.rest, 1)
	yes := value == "true"
	req.Terms = n.conditions(s.rest)
	ask := func(op compat.Op, values ...string) {
		req.Terms = append(req.Terms, compat.Term{Element: element, Op: op, Values: values})
	}
	if len(n.Items) > 0 {
		terms, err := n.deviceTerms(s.rest)
		if err != nil {
			return req.Unclearf("%s", err)
		}
		req.Terms = append(terms, req.Terms...)
	}
	switch {
	case n.Match == matchOption && slices.Contains([]string{"true", "y", "m", "false", "n"}, value):
		ask(compat.In, "y", "m") // built in, or as a module
		req.Not = value == "false" || value == "n"
	case n.Match == matchOption:
		ask(compat.In, value)
	case s.without():
		req.Importance, req.Weight, yes = compat.Informative, 0, true
		fallthrough
	case len(n.Where)+len(n.Items) > 0: // a device, so that only the whole can be negated
		if element != "" {
			ask(compat.Exists)
		}
		req.Not = !yes
	case n.Match == matchExists && yes:
		ask(compat.Exists)
	case n.Match == matchExists:
		ask(compat.DoesNotExist)
	case yes:
		ask(compat.IsTrue)
	default:
		ask(compat.IsFalse)
	}
	return req
}

// without reports whether the image says that it can do without a thing, so
// that nothing is asked for.
func (s boundAttribute) without() bool {
	return s.node.IfFalse == "nothing" && s.node.normal(s.Value) == "false"
}

// rangeRequirement holds in one of the intervals.
func (s boundAttribute) rangeRequirement(req compat.Requirement, value string) compat.Requirement {
	element := strings.Replace(s.node.Element, "*", s.rest, 1)
	intervals, err := parseRanges(element, value)
	if err != nil {
		return req.Unclearf("%s", err)
	}
	if len(intervals) == 1 {
		req.Terms = append(s.node.conditions(s.rest), intervals[0]...)
		return req
	}
	for _, terms := range intervals {
		req.Parts = append(req.Parts, compat.Requirement{
			Key: req.Key, Set: req.Set, Terms: append(s.node.conditions(s.rest), terms...),
		})
	}
	req.Combine, req.Set = compat.AnyOf, ""
	return req
}

// listRequirement holds where all that is listed is there, each device of a
// list by itself.
func (s boundAttribute) listRequirement(req compat.Requirement, value string) compat.Requirement {
	var parts []compat.Requirement
	for item := range strings.SplitSeq(value, ",") {
		item = s.node.normal(strings.TrimSpace(item))
		if item == "" {
			continue
		}
		if known := s.node.Values; len(known) > 0 && !slices.Contains(known, item) {
			return req.Unclearf("%s is not one of %s", textutil.Quote(item), textutil.Short(strings.Join(known, ", ")))
		}
		terms := s.node.conditions(item)
		if len(s.node.Items) > 0 {
			named, err := s.node.deviceTerms(item)
			if err != nil {
				return req.Unclearf("%s", err)
			}
			terms = append(terms, named...)
		} else if s.node.Element != "" {
			terms = append(terms, compat.Term{Element: strings.Replace(s.node.Element, "*", item, 1), Op: compat.Exists})
		}
		parts = append(parts, compat.Requirement{Key: req.Key, Set: req.Set, Terms: terms})
	}
	switch {
	case len(parts) == 0:
		return req.Unclearf("%s lists nothing", textutil.Quote(value))
	case len(parts) == 1:
		req.Terms = parts[0].Terms
	case len(s.node.Items) > 0:
		req.Combine, req.Parts, req.Set = compat.AllOf, parts, ""
	default:
		for _, p := range parts {
			req.Terms = append(req.Terms, p.Terms...)
		}
	}
	return req
}

// deviceTerms are the conditions on the device that an item names: it is of the
// form that has as many parts.
func (n *Node) deviceTerms(item string) ([]compat.Term, error) {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '_' })
	}
	values := split(item)
	for _, form := range n.Items {
		elements := split(form)
		if len(elements) != len(values) {
			continue
		}
		terms := make([]compat.Term, len(values))
		for i, v := range values {
			terms[i] = compat.Term{Element: elements[i], Op: compat.In, Values: []string{v}}
		}
		return terms, nil
	}
	return nil, fmt.Errorf("%s is not written %s", textutil.Quote(item), strings.Join(n.Items, " or "))
}
