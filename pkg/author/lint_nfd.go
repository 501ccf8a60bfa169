package author

import (
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// nfd looks at a spec of NFD's.
func (r *run) nfd(root *node) {
	sets := root.field("compatibilities")
	if sets != nil && len(sets.members()) == 0 {
		r.empty(sets, "compatibilities")
	}
	all := make([][]*ask, len(sets.members()))
	ways := make([][][]*ask, len(all))
	for i, set := range sets.members() {
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

// nfdSet returns what all rules of a set ask for, and each of the ways that a
// rule leaves.
func (r *run) nfdSet(set *node) (base []*ask, ways [][]*ask) {
	rules := set.field("rules")
	if rules != nil && len(rules.members()) == 0 {
		r.empty(rules, "a set without rules")
	}
	for _, rule := range rules.members() {
		features, any := rule.field("matchFeatures"), rule.field("matchAny")
		if len(features.members())+len(any.members()) == 0 && rule.key("vars") == nil {
			r.empty(rule, "a rule without matchFeatures and matchAny")
		}
		base = append(base, r.nfdFeatures(features, len(base)+1)...)
		for _, way := range any.members() {
			if len(way.field("matchFeatures").members()) == 0 {
				r.empty(way, "a member of matchAny without matchFeatures")
			}
			ways = append(ways, r.nfdFeatures(way.field("matchFeatures"), 1+len(base)+len(ways)*maxNodes))
		}
	}
	return base, ways
}

// nfdFeatures reads matchFeatures. Devices are numbered from instance on.
func (r *run) nfdFeatures(features *node, instance int) []*ask {
	var all []*ask
	for i, f := range features.members() {
		name := f.field("feature")
		if name == nil || name.kind != scalar {
			continue // the parser says it
		}
		feature := ask{set: strings.ToLower(name.value), name: name, op: name}
		if !r.feature(&feature) {
			r.nfdExpressions(f, feature) // operators can be wrong, too
			continue
		}
		if isDeviceList(feature.set) {
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

// isDeviceList tells the sets of which each instance is looked at by itself.
func isDeviceList(set string) bool {
	switch set {
	case "memory.nv", "storage.block":
		return true
	default:
		return strings.HasSuffix(set, ".device") || strings.HasSuffix(set, ".virtual") || strings.HasSuffix(set, ".installation")
	}
}

func (r *run) nfdExpressions(f *node, feature ask) []*ask {
	var asks []*ask
	expressions := f.field("matchExpressions")
	for i, name := range expressions.keysOf() {
		a := feature
		a.name, a.op = name, name
		a.term.Element = name.value
		if r.expression(&a, expressions.values[i]) {
			asks = append(asks, &a)
		}
	}
	for _, member := range expressions.members() { // the short form
		a := feature
		a.name, a.op = member, member
		element, value, hasValue := strings.Cut(member.text(), "=")
		a.term = compat.Term{Element: element, Op: compat.Exists}
		if hasValue {
			a.term.Op, a.term.Values = compat.In, []string{value}
		}
		asks = append(asks, &a)
	}
	if name := f.field("matchName"); name != nil {
		a := feature
		a.name, a.op = f.key("matchName"), f.key("matchName")
		r.expression(&a, name)
	}
	return asks
}

func (n *node) keysOf() []*node {
	if n == nil || n.kind != mapping {
		return nil
	}
	return n.keys
}

// expression reads one match expression, and reports whether its operator is
// one.
func (r *run) expression(a *ask, n *node) bool {
	values := n
	switch {
	case n.isNull():
		a.term.Op = compat.Exists
		return true
	case n.kind == mapping:
		values = n.field("value")
		op := n.field("op")
		a.term.Version = n.field("type").text() == "version"
		if !op.isNull() {
			a.op = op
		}
		if !r.operator(a, op.text()) {
			return false
		}
	default:
		a.term.Op = compat.In
	}
	for _, value := range values.texts() {
		if value.kind != scalar {
			return false // the parser says it
		}
		if value.tag != "str" && value.tag != "null" {
			r.at(value, codeNotAString).say(a.name.value, "NFD wants strings, and this is "+value.value, `"`+value.value+`"`)
		}
		a.values = append(a.values, value)
		a.term.Values = append(a.term.Values, value.value)
	}
	return r.operands(a)
}

// operators are NFD's, and what others call them.
func operators() map[compat.Op][]string {
	return map[compat.Op][]string{
		compat.In: {"=", "==", "eq", "equal", "equals", "is", "oneof"}, compat.NotIn: {"!=", "ne", "notequal", "noneof"},
		compat.InRegexp: {"regexp", "regex", "matches", "=~", "like"}, compat.Exists: {"exist", "present"},
		compat.DoesNotExist: {"notexists", "absent", "doesnotexists"}, compat.Gt: {">", "greaterthan"},
		compat.Ge: {">=", "gte", "atleast"}, compat.Lt: {"<", "lessthan"}, compat.Le: {"<=", "lte", "atmost"},
		compat.GtLt: nil, compat.GeLe: nil, compat.IsTrue: {"true"}, compat.IsFalse: {"false"},
	}
}

func (r *run) operator(a *ask, op string) bool {
	a.term.Op = compat.Op(op)
	if op == "" || op == string(compat.Any) {
		a.term.Op = compat.Any
		return true
	}
	if _, ok := operators()[a.term.Op]; ok {
		return true
	}
	var names []string
	for known, others := range operators() {
		names = append(names, string(known))
		for _, other := range append(others, strings.ToLower(string(known))) {
			if other == strings.ToLower(op) {
				r.at(a.op, codeUnknownOperator).fixed(string(known)).say(a.name.value, "the operator "+quoted(op)+" is not known", string(known))
				return false
			}
		}
	}
	r.at(a.op, codeUnknownOperator).say(a.name.value, "the operator "+quoted(op)+" is not known", nearestSorted(op, names))
	return false
}
