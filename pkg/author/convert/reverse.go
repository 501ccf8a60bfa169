package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// reverser looks for the attributes that mean what a requirement asks for. It
// tries those that the compatibility specs know and keeps one that becomes the
// same requirement again; so nothing that is kept has another meaning.
type reverser struct {
	specs []spec.Spec
	in    *spec.Interpreter
	lost  *[]string
}

func (v *reverser) lose(req *compat.Requirement, why string) {
	name := req.Want()
	if req.Title != "" && req.Combine != compat.Leaf {
		name = req.Title + ": " + name
	}
	*v.lost = append(*v.lost, name+": "+why)
}

// all returns the attributes of requirements that hold together.
func (v *reverser) all(reqs []compat.Requirement) []compat.Attribute {
	var attributes []compat.Attribute
	for i := range reqs {
		attributes = append(attributes, v.one(&reqs[i])...)
	}
	return attributes
}

func (v *reverser) one(req *compat.Requirement) []compat.Attribute {
	if full, ok := kernelFrom(req); ok {
		req = &full
	}
	switch {
	case req.Unclear != "":
		v.lose(req, req.Unclear)
	case req.Importance == compat.Informative:
	case req.Combine == compat.Leaf:
		return v.leaf(req)
	case req.Combine == compat.AllOf && !req.Not:
		if len(req.Defines) > 0 {
			v.lose(req, "attributes have no variables")
		}
		return v.all(req.Parts)
	case req.Combine == compat.AnyOf && !req.Not && len(req.Parts) == 1:
		if req.Parts[0].Weight != 0 {
			*v.lost = append(*v.lost, fmt.Sprintf("%s: the weight %d", req.Parts[0].Key, req.Parts[0].Weight))
		}
		return v.one(&req.Parts[0])
	case req.Combine == compat.AnyOf && !req.Not:
		v.lose(req, "attributes hold all together; there are no alternatives")
	default:
		v.lose(req, "attributes cannot be counted or negated")
	}
	return nil
}

// leaf tries the conditions together, and then one by one where they are not
// about one device.
func (v *reverser) leaf(req *compat.Requirement) []compat.Attribute {
	if a, ok := v.find(req); ok {
		return []compat.Attribute{a}
	}
	if len(req.Terms) < 2 || req.Not || req.Name != nil || hostfacts.HasInstances(req.Set) {
		v.lose(req, "no attribute says this")
		return nil
	}
	var attributes []compat.Attribute
	for _, term := range req.Terms {
		one := *req
		one.Terms = []compat.Term{term}
		a, ok := v.find(&one)
		if !ok {
			v.lose(&one, "no attribute says this")
			continue
		}
		attributes = append(attributes, a)
	}
	return attributes
}

func (v *reverser) find(req *compat.Requirement) (compat.Attribute, bool) {
	if req.Name != nil {
		return compat.Attribute{}, false
	}
	want := meaningOf(*req)
	for i := range v.specs {
		spec := &v.specs[i]
		for j := range spec.Nodes {
			if spec.Nodes[j].Fact != req.Set {
				continue
			}
			for _, a := range candidates(spec, &spec.Nodes[j], req) {
				if v.means(a, want) {
					return a, true
				}
			}
		}
	}
	return compat.Attribute{}, false
}

// means reports whether an attribute becomes the requirement. What a spec puts
// before it, because nothing could be there without, the requirement implies.
func (v *reverser) means(a compat.Attribute, want string) bool {
	reqs := v.in.Requirements([]compat.Attribute{a})
	for len(reqs) == 1 && reqs[0].Combine == compat.AllOf && reqs[0].Prune && len(reqs[0].Parts) > 0 {
		reqs = reqs[0].Parts[len(reqs[0].Parts)-1:]
	}
	return len(reqs) == 1 && reqs[0].Combine == compat.Leaf && reqs[0].Unclear == "" && meaningOf(reqs[0]) == want
}

// meaningOf is the same text for requirements that mean the same.
func meaningOf(req compat.Requirement) string {
	terms := make([]string, len(req.Terms))
	not := req.Not
	for i, t := range req.Terms {
		terms[i] = meaningOfTerm(req.Set, t)
	}
	if not && len(terms) == 1 && !hostfacts.HasInstances(req.Set) && req.Terms[0].Op == compat.Exists {
		not, terms[0] = false, meaningOfTerm(req.Set, compat.Term{Element: req.Terms[0].Element, Op: compat.DoesNotExist})
	}
	slices.Sort(terms)
	return fmt.Sprintf("%s %v %d %d %q", req.Set, not, req.Importance, req.Weight, terms)
}

func meaningOfTerm(set string, t compat.Term) string {
	values := slices.Clone(t.Values)
	switch {
	case set == "kernel.version" && t.Element == "major" && t.Op == compat.Ge:
		t.Element = "full"
	case set == "kernel.version" && t.Element == "major" && t.Op == compat.Gt && len(values) == 1:
		if n, err := strconv.Atoi(values[0]); err == nil {
			t.Element, t.Op, values[0] = "full", compat.Ge, strconv.Itoa(n+1)
		}
	case t.Op == compat.In && len(values) == 1 && values[0] == "true":
		t.Op, values = compat.IsTrue, nil
	}
	if t.Op == compat.In || t.Op == compat.NotIn {
		slices.Sort(values)
	}
	return fmt.Sprintf("%s %s %q", t.Element, t.Op, values)
}

// candidates are the attributes of one node that could mean the requirement.
func candidates(spec *spec.Spec, n *spec.Node, req *compat.Requirement) []compat.Attribute {
	group := "nfd"
	if len(spec.Groups) > 0 && spec.Groups[0] != "*" {
		group = spec.Groups[0]
	}
	var found []compat.Attribute
	for _, pattern := range n.Spellings() {
		keys := []string{pattern}
		if strings.Contains(pattern, "*") {
			keys = nil
			for _, star := range starsOf(n, req) {
				keys = append(keys, strings.Replace(pattern, "*", star, 1))
			}
		}
		for _, key := range keys {
			for _, value := range valuesFor(req) {
				a := compat.Attribute{Group: group, Key: key, Value: value}
				if value == "true" || value == "false" {
					a.Kind = compat.Bool
				}
				found = append(found, a)
			}
		}
	}
	return found
}

// starsOf are the texts that could take the place of the "*" of a key.
func starsOf(n *spec.Node, req *compat.Requirement) []string {
	values := map[string]string{}
	var stars []string
	for _, t := range req.Terms {
		stars = append(stars, t.Element)
		if len(t.Values) == 1 {
			values[t.Element] = t.Values[0]
		}
	}
	for _, form := range n.Items {
		words := strings.FieldsFunc(form, func(r rune) bool { return r == '.' || r == '_' })
		for i, word := range words {
			words[i] = values[word]
		}
		if !slices.Contains(words, "") {
			stars = append(stars, strings.Join(words, "_"))
		}
	}
	return stars
}

// valuesFor are the values that could mean the terms.
func valuesFor(req *compat.Requirement) []string {
	values := []string{"true", "false"}
	from, to := "(", ")"
	low, high := "", ""
	for _, t := range req.Terms {
		values = append(values, t.Element)
		values = append(values, t.Values...)
		if len(t.Values) != 1 {
			continue
		}
		switch t.Op {
		case compat.Ge:
			from, low = "[", t.Values[0]
		case compat.Gt:
			low = t.Values[0]
			if n, err := strconv.Atoi(low); err == nil {
				values = append(values, strconv.Itoa(n+1))
			}
		case compat.Le:
			to, high = "]", t.Values[0]
		case compat.Lt:
			high = t.Values[0]
		}
	}
	if low+high != "" {
		values = append(values, from+low+", "+high+to)
	}
	return values
}

// kernelFrom recognises "6.8 or later" written as two ways: major above 6, or
// major 6 and minor at least 8.
func kernelFrom(req *compat.Requirement) (compat.Requirement, bool) {
	if req.Combine != compat.AnyOf || req.Not || len(req.Parts) != 2 {
		return compat.Requirement{}, false
	}
	first, second := onlyTerms(&req.Parts[0]), onlyTerms(&req.Parts[1])
	if len(first) == 2 {
		first, second = second, first
	}
	if len(first) != 1 || len(second) != 2 || first[0].Element != "major" || first[0].Op != compat.Gt {
		return compat.Requirement{}, false
	}
	if second[0].Element == "minor" {
		second[0], second[1] = second[1], second[0]
	}
	major, minor := second[0], second[1]
	if major.Element != "major" || major.Op != compat.In || !slices.Equal(major.Values, first[0].Values) ||
		minor.Element != "minor" || minor.Op != compat.Ge || len(minor.Values) != 1 {
		return compat.Requirement{}, false
	}
	return compat.Requirement{Key: req.Key, Set: "kernel.version", Importance: req.Importance, Terms: []compat.Term{
		{Element: "full", Op: compat.Ge, Values: []string{major.Values[0] + "." + minor.Values[0]}},
	}}, true
}

// onlyTerms are the conditions on the kernel's version, if there are no others.
func onlyTerms(req *compat.Requirement) []compat.Term {
	for req.Combine == compat.AllOf && !req.Not && len(req.Parts) == 1 {
		req = &req.Parts[0]
	}
	if req.Combine != compat.Leaf || req.Not || req.Name != nil || req.Set != "kernel.version" {
		return nil
	}
	return slices.Clone(req.Terms)
}
