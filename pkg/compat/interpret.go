package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/version"
)

// Interpreter turns attributes into requirements by compatibility specs.
type Interpreter struct{ specs []Spec }

// NewInterpreter returns an interpreter that asks the specs in order.
func NewInterpreter(specs []Spec) *Interpreter { return &Interpreter{specs: specs} }

// Requirements returns what the attributes ask for. An attribute that no spec
// knows, or whose value makes no sense for it, becomes a requirement that is
// Unclear: it is never dropped, for its author meant something by it.
func (in *Interpreter) Requirements(attributes []Attribute) []Requirement {
	reqs := make([]Requirement, 0, len(attributes))
	versions := map[string]*parts{}
	for _, a := range attributes {
		rule, rest, ok := in.find(a)
		if !ok {
			reqs = append(reqs, Requirement{Key: a.name(), Unclear: "no compatibility spec knows this attribute"})
			continue
		}
		if rule.Part > 0 {
			id := a.Group + "\x00" + rule.Fact + "\x00" + rule.Element
			if versions[id] == nil {
				versions[id] = &parts{at: len(reqs)}
				reqs = append(reqs, Requirement{})
			}
			versions[id].add(rule, a)
			continue
		}
		reqs = append(reqs, rule.requirement(a, rest))
	}
	for _, p := range versions {
		reqs[p.at] = p.requirement()
	}
	return reqs
}

func (in *Interpreter) find(a Attribute) (Rule, string, bool) {
	for _, spec := range in.specs {
		if rule, rest, ok := spec.find(a); ok {
			return rule, rest, true
		}
	}
	return Rule{}, "", false
}

func (a Attribute) name() string { return a.Group + "/" + a.Key }

// requirement makes the requirement of one attribute. Boolean labels say true
// where the feature is there; false asks for its absence.
func (r Rule) requirement(a Attribute, rest string) Requirement {
	req := Requirement{Key: a.name(), Set: r.Fact, Importance: r.importance(), Weight: r.Weight}
	element := strings.Replace(r.Element, "*", rest, 1)
	term := Term{Element: element}
	switch r.Type {
	case "string":
		term.Op, term.Values = In, []string{a.Value}
	case "version":
		if _, ok := version.Parse(a.Value); !ok || a.hasExponent() {
			return req.unclear("%s is no version", quoted(a.Value))
		}
		term.Op, term.Values = Ge, []string{a.Value}
	case "target":
		return r.target(req, a.Value)
	default:
		yes, isBool := a.truth()
		if !isBool && r.Type == "option" {
			term.Op, term.Values = In, []string{a.Value}
			break
		}
		if !isBool {
			return req.unclear("%s is neither true nor false", quoted(a.Value))
		}
		term, req.Not = r.boolTerm(element, yes)
	}
	req.Terms = []Term{term}
	return req
}

// boolTerm is the term that holds where a label of this rule is true, or with
// not where it is false.
func (r Rule) boolTerm(element string, yes bool) (term Term, not bool) {
	switch {
	case r.Type == "flag" && yes:
		return Term{Element: element, Op: Exists}, false
	case r.Type == "flag":
		return Term{Element: element, Op: DoesNotExist}, false
	case r.Type == "option": // a kernel option, built in or as a module
		return Term{Element: element, Op: In, Values: []string{"y", "m"}}, !yes
	case r.Type == "device":
		return Term{Element: element, Op: r.Op, Values: r.Values}, !yes
	case yes:
		return Term{Element: element, Op: IsTrue}, false
	default:
		return Term{Element: element, Op: IsFalse}, false
	}
}

func (r Rule) target(req Requirement, name string) Requirement {
	if alias, ok := r.Aliases[name]; ok {
		name = alias
	}
	if !slices.Contains(r.Values, name) {
		return req.unclear("the CPU target %s is not known to this version", quoted(name))
	}
	req.Terms = []Term{{Element: name, Op: Exists}}
	return req
}

func (r Requirement) unclear(format string, args ...any) Requirement {
	r.Unclear = fmt.Sprintf(format, args...)
	return r
}

// truth reads a bool, also one that its author put in quotes.
func (a Attribute) truth() (yes, ok bool) {
	return a.Value == "true", a.Value == "true" || a.Value == "false"
}

// hasExponent tells a number such as 1e400, whose digits say nothing of a
// version.
func (a Attribute) hasExponent() bool {
	return a.Kind == Number && strings.ContainsAny(a.Value, "eE")
}

// parts gathers the attributes that state one version part by part, such as
// kernel-version.major and .minor: apart they would refuse 7.0 to who asks for
// 6.8 or later.
type parts struct {
	at     int // index of the requirement among all
	rule   Rule
	keys   []string
	values [3][]string // of each part what was given for it
}

func (p *parts) add(rule Rule, a Attribute) {
	p.rule = rule
	p.keys = append(p.keys, a.name())
	p.values[rule.Part-1] = append(p.values[rule.Part-1], a.Value)
}

func (p *parts) requirement() Requirement {
	req := Requirement{
		Key: strings.Join(p.keys, " "), Set: p.rule.Fact,
		Importance: p.rule.importance(), Weight: p.rule.Weight,
	}
	var want []string
	for i, given := range p.values {
		switch {
		case len(given) == 0:
			continue
		case len(given) > 1:
			return req.unclear("a part of the version is given more than once")
		case len(want) < i:
			return req.unclear("a part of the version is missing before the last one given")
		}
		if n, ok := version.Parse(given[0]); !ok || n.String() != given[0] || len(n) != 1 {
			return req.unclear("%s is no whole number", quoted(given[0]))
		}
		want = append(want, given[0])
	}
	req.Terms = []Term{{Element: p.rule.Element, Op: Ge, Values: []string{strings.Join(want, ".")}}}
	return req
}
