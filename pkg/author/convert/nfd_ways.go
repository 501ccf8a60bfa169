package convert

import (
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/version"
)

// maxWays bounds the alternatives of one rule: alternatives within others are
// written out.
const maxWays = 64

// ways returns a requirement, or what is not it, as alternatives, each of
// features that hold together; or why that is not possible.
func (w *nfdWriter) ways(r *compat.Requirement, not bool) (ways [][]nfdFeature, why string) {
	not = not != r.Not
	combine := r.Combine
	if not { // De Morgan
		combine = map[compat.Combine]compat.Combine{
			compat.AllOf: compat.AnyOf, compat.AnyOf: compat.AllOf, compat.NoneOf: compat.AnyOf,
			compat.Leaf: compat.Leaf, compat.OneOf: compat.OneOf,
		}[combine]
		not = r.Combine != compat.NoneOf
	} else if combine == compat.NoneOf {
		combine, not = compat.AllOf, true
	}
	switch {
	case r.Unclear != "":
		return nil, r.Unclear
	case combine == compat.Leaf:
		return w.leaf(r, not)
	case combine == compat.OneOf:
		return nil, "NFD cannot say that exactly one of several holds"
	case combine == compat.AllOf:
		ways = [][]nfdFeature{nil}
	}
	for i := range r.Parts {
		if combine == compat.AllOf && r.Combine == compat.AllOf && r.Parts[i].Importance != compat.Required {
			continue
		}
		part, why := w.ways(&r.Parts[i], not)
		if why != "" {
			return nil, why
		}
		if combine == compat.AllOf { // each of the ways so far with each of these
			var all [][]nfdFeature
			for _, way := range ways {
				for _, more := range part {
					all = append(all, slices.Concat(way, more))
				}
			}
			ways = all
		} else {
			ways = append(ways, part...)
		}
		if len(ways) > maxWays {
			return nil, "there would be too many alternatives"
		}
	}
	return ways, ""
}

func (w *nfdWriter) leaf(r *compat.Requirement, not bool) ([][]nfdFeature, string) {
	terms := slices.Clone(r.Terms)
	set := r.Set
	if not {
		if len(terms) != 1 || r.Name != nil || hostfacts.HasInstances(set) || !negate(&terms[0]) {
			return nil, "NFD cannot negate this"
		}
	}
	if set == "cpu.archspec" && len(terms) == 1 && terms[0].Op == compat.Exists {
		if level, ok := strings.CutPrefix(terms[0].Element, "x86_64_v"); ok { // of which NFD has a flag
			set, terms = "cpu.cpuid", []compat.Term{{Element: "X86_64_V" + level, Op: compat.Exists}}
		}
	}
	if major, minor, ok := fromKernel(set, terms); ok {
		return [][]nfdFeature{
			{{Feature: set, MatchExpressions: map[string]nfdExpression{"major": {Op: "Gt", Value: []string{major}}}}},
			{{Feature: set, MatchExpressions: map[string]nfdExpression{
				"major": {Op: "In", Value: []string{major}}, "minor": {Op: "Ge", Value: []string{minor}},
			}}},
		}, ""
	}
	if declared, ok := hostfacts.FindSet(set); ok && !declared.NFD {
		w.beyond = append(w.beyond, set)
	}
	features, why := featuresOf(set, terms)
	if r.Name != nil && why == "" {
		e := expressionOf(*r.Name)
		features[0].MatchName = &e
	}
	return [][]nfdFeature{features}, why
}

// featuresOf puts conditions under their elements. An element that occurs
// twice needs a second entry, which may then be of another device.
func featuresOf(set string, terms []compat.Term) ([]nfdFeature, string) {
	features := []nfdFeature{{Feature: set}}
	for _, t := range terms {
		at := slices.IndexFunc(features, func(f nfdFeature) bool {
			_, taken := f.MatchExpressions[t.Element]
			return !taken
		})
		switch {
		case at < 0 && hostfacts.HasInstances(set):
			return nil, "NFD takes one condition on each element of a device"
		case at < 0:
			features = append(features, nfdFeature{Feature: set})
			at = len(features) - 1
		}
		if features[at].MatchExpressions == nil {
			features[at].MatchExpressions = map[string]nfdExpression{}
		}
		features[at].MatchExpressions[t.Element] = expressionOf(t)
	}
	return features, ""
}

func expressionOf(t compat.Term) nfdExpression {
	e := nfdExpression{Op: string(t.Op), Value: t.Values}
	if t.Op == compat.Any {
		e.Op = ""
	}
	hasDot := slices.ContainsFunc(t.Values, func(v string) bool { return strings.Contains(v, ".") })
	if t.Op.Values() > 0 && (t.Version || hasDot) {
		e.Type = "version"
	}
	return e
}

// negate reports false for comparisons: what is absent is neither more nor less.
func negate(t *compat.Term) bool {
	if t.Op == compat.IsTrue {
		t.Op, t.Values = compat.NotIn, []string{"true"}
		return true
	}
	opposite, ok := map[compat.Op]compat.Op{
		compat.Exists: compat.DoesNotExist, compat.DoesNotExist: compat.Exists,
		compat.In: compat.NotIn, compat.NotIn: compat.In,
	}[t.Op]
	t.Op = opposite
	return ok
}

// fromKernel tells "6.8 or later", which NFD compares part by part: it takes no
// release such as 6.8.0-45-generic for a version.
func fromKernel(set string, terms []compat.Term) (major, minor string, ok bool) {
	if set != "kernel.version" || len(terms) != 1 || terms[0].Element != "full" || terms[0].Op != compat.Ge || len(terms[0].Values) != 1 {
		return "", "", false
	}
	v, ok := version.Parse(terms[0].Values[0])
	if !ok || len(v) != 2 {
		return "", "", false
	}
	return strconv.FormatUint(v[0], 10), strconv.FormatUint(v[1], 10), true
}
