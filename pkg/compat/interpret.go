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
		if _, ok := version.Parse(a.Value); !ok {
			return req.unclear("%q is no version", a.Value)
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
			return req.unclear("%q is neither true nor false", a.Value)
		}
		term, req.Not = r.boolTerm(element), !yes
		if r.Type == "flag" && !yes {
			term.Op, req.Not = DoesNotExist, false
		}
	}
	req.Terms = []Term{term}
	return req
}

// boolTerm is the term that holds where a label of this rule is true.
func (r Rule) boolTerm(element string) Term {
	switch r.Type {
	case "flag":
		return Term{Element: element, Op: Exists}
	case "option": // a kernel option, built in or as a module
		return Term{Element: element, Op: In, Values: []string{"y", "m"}}
	case "device":
		return Term{Element: element, Op: r.Op, Values: r.Values}
	default:
		return Term{Element: element, Op: IsTrue}
	}
}

func (r Rule) target(req Requirement, name string) Requirement {
	if alias, ok := r.Aliases[name]; ok {
		name = alias
	}
	if !slices.Contains(r.Values, name) {
		return req.unclear("the CPU target %q is not known to this version", name)
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
	switch a.Value {
	case "true", "false":
		return a.Value == "true", a.Kind != Number
	}
	return false, false
}

// parts gathers the attributes that state one version part by part, such as
// kernel-version.major and .minor: apart they would refuse 7.0 to who asks for
// 6.8 or later.
type parts struct {
	at     int // index of the requirement among all
	rule   Rule
	keys   []string
	values [3]string
}

func (p *parts) add(rule Rule, a Attribute) {
	p.rule = rule
	p.keys = append(p.keys, a.name())
	p.values[rule.Part-1] = a.Value
}

func (p *parts) requirement() Requirement {
	req := Requirement{
		Key: strings.Join(p.keys, " "), Set: p.rule.Fact,
		Importance: p.rule.importance(), Weight: p.rule.Weight,
	}
	given := len(p.values)
	for given > 0 && p.values[given-1] == "" {
		given--
	}
	for _, v := range p.values[:given] {
		if v == "" {
			return req.unclear("a part of the version is missing before the last one given")
		}
		if n, ok := version.Parse(v); !ok || n.String() != v || len(n) != 1 {
			return req.unclear("%q is no number", v)
		}
	}
	want := strings.Join(p.values[:given], ".")
	req.Terms = []Term{{Element: p.rule.Element, Op: Ge, Values: []string{want}}}
	return req
}
