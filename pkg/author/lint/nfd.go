package lint

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// nfd looks at a spec of NFD's.
func (r *run) nfd(root *document.Node) {
	sets := root.Field("compatibilities")
	if sets != nil && len(sets.Members()) == 0 {
		r.empty(sets, "compatibilities")
	}
	all := make([][]*ask, len(sets.Members()))
	ways := make([][][]*ask, len(all))
	for i, set := range sets.Members() {
		all[i], ways[i] = r.nfdSet(set)
	}
	for i, base := range all {
		later := false
		for j, other := range all {
			later = later || i != j && takesLater(other)
		}
		r.together(base, 0)
		r.versionParts(base, later)
		for j, way := range ways[i] {
			wayLater := later
			for k, other := range ways[i] {
				wayLater = wayLater || j != k && takesLater(other)
			}
			r.together(append(base[:len(base):len(base)], way...), len(base))
			r.versionParts(way, wayLater)
		}
	}
}

// manyDevices is more than one way can name, so that the devices of each have
// numbers of their own.
const manyDevices = 100_000

// nfdSet returns what all rules of a set ask for, and each of the ways that a
// rule leaves.
func (r *run) nfdSet(set *document.Node) (base []*ask, ways [][]*ask) {
	rules := set.Field("rules")
	if rules != nil && len(rules.Members()) == 0 {
		r.empty(rules, "a set without rules")
	}
	for _, rule := range rules.Members() {
		features, anyOf := rule.Field("matchFeatures"), rule.Field("matchAny")
		if len(features.Members())+len(anyOf.Members()) == 0 && rule.Key("vars") == nil {
			r.empty(rule, "a rule without matchFeatures and matchAny")
		}
		base = append(base, r.nfdFeatures(features, len(base)+1)...)
		for _, way := range anyOf.Members() {
			if len(way.Field("matchFeatures").Members()) == 0 {
				r.empty(way, "a member of matchAny without matchFeatures")
			}
			ways = append(ways, r.nfdFeatures(way.Field("matchFeatures"), 1+len(base)+len(ways)*manyDevices))
		}
	}
	return base, ways
}

// nfdFeatures reads matchFeatures. Devices are numbered from instance on.
func (r *run) nfdFeatures(features *document.Node, instance int) []*ask {
	var all []*ask
	for i, f := range features.Members() {
		name := f.Field("feature")
		if name == nil || name.Kind != document.Scalar {
			continue // the parser says it
		}
		feature := ask{set: strings.ToLower(name.Value), name: name, op: name}
		if !r.feature(&feature) {
			r.nfdExpressions(f, feature) // operators can be wrong, too
			continue
		}
		if hostfacts.HasInstances(feature.set) {
			feature.instance = instance + i
		}
		asks := r.nfdExpressions(f, feature)
		for _, a := range asks {
			r.check(a)
		}
		all = append(all, asks...)
	}
	return all
}

func (r *run) nfdExpressions(f *document.Node, feature ask) []*ask {
	var asks []*ask
	expressions := f.Field("matchExpressions")
	for name, expression := range expressions.Pairs {
		a := feature
		a.name, a.op = name, name
		a.term.Element = name.Value
		if r.expression(&a, expression) {
			asks = append(asks, &a)
		}
	}
	for _, member := range expressions.Members() { // the short form
		a := feature
		a.name, a.op = member, member
		element, value, hasValue := strings.Cut(member.Text(), "=")
		a.term = compat.Term{Element: element, Op: compat.Exists}
		if hasValue {
			a.term.Op, a.term.Values = compat.In, []string{value}
		}
		asks = append(asks, &a)
	}
	if name := f.Field("matchName"); name != nil {
		a := feature
		a.name, a.op = f.Key("matchName"), f.Key("matchName")
		r.expression(&a, name)
	}
	return asks
}

// expression reads one match expression, and reports whether its operator is
// one.
func (r *run) expression(a *ask, n *document.Node) bool {
	values := n
	switch {
	case n.IsNull():
		a.term.Op = compat.Exists
		return true
	case n.Kind == document.Mapping:
		values = n.Field("value")
		op := n.Field("op")
		a.term.Version = n.Field("type").Text() == "version"
		if !op.IsNull() {
			a.op = op
		}
		if !r.operator(a, op.Text()) {
			return false
		}
	default:
		a.term.Op = compat.In
	}
	for _, value := range values.Texts() {
		if value.Kind != document.Scalar {
			return false // the parser says it
		}
		if value.Tag != "str" && value.Tag != "null" {
			r.at(value, codeNotAString).say(a.name.Value, "NFD wants strings, and this is "+value.Value, `"`+value.Value+`"`)
		}
		a.values = append(a.values, value)
		a.term.Values = append(a.term.Values, value.Value)
	}
	return r.operands(a)
}

// otherNames are what people and other systems call NFD's operators.
func otherNames() map[compat.Op][]string {
	return map[compat.Op][]string{
		compat.In: {"=", "==", "eq", "equal", "equals", "is", "oneof"}, compat.NotIn: {"!=", "ne", "notequal", "noneof"},
		compat.InRegexp: {"regexp", "regex", "matches", "=~", "like"}, compat.Exists: {"exist", "present"},
		compat.DoesNotExist: {"notexists", "absent", "doesnotexists"}, compat.Gt: {">", "greaterthan"},
		compat.Ge: {">=", "gte", "atleast"}, compat.Lt: {"<", "lessthan"}, compat.Le: {"<=", "lte", "atmost"},
		compat.IsTrue: {"true"}, compat.IsFalse: {"false"},
	}
}

func (r *run) operator(a *ask, op string) bool {
	a.term.Op = compat.Op(op)
	if op == "" {
		a.term.Op = compat.Any
	}
	if slices.Contains(compat.Ops(), a.term.Op) {
		return true
	}
	text := "the operator " + textutil.Quote(op) + " is not known"
	var names []string
	for _, known := range compat.Ops() {
		names = append(names, string(known))
		if strings.EqualFold(op, string(known)) || slices.Contains(otherNames()[known], strings.ToLower(op)) {
			r.at(a.op, codeUnknownOperator).fixed(string(known)).say(a.name.Value, text, string(known))
			return false
		}
	}
	r.at(a.op, codeUnknownOperator).say(a.name.Value, text, textutil.Nearest(op, names))
	return false
}
