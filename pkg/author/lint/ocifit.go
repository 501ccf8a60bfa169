package lint

import (
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// ocifit looks at a spec of ocifit-k8s: all expressions of a set hold, and
// their keys are labels.
func (r *run) ocifit(root *document.Node) {
	for _, set := range root.Field("compatibilities").Members() {
		var all []*ask
		rules := set.Field("rules")
		if rules != nil && len(rules.Members()) == 0 {
			r.empty(rules, "a set without rules")
		}
		for _, rule := range rules.Members() {
			for _, feature := range rule.Field("matchFeatures").Members() {
				for _, expression := range feature.Field("matchExpressions").Members() {
					if a := r.labelAsk(expression); a != nil {
						r.check(a)
						all = append(all, a)
					}
				}
			}
		}
		r.together(all, 0)
		r.versionParts(all, false)
	}
}

// labelAsk reads {key, op, value}; what the parser refuses is nil.
func (r *run) labelAsk(n *document.Node) *ask {
	key, op, values := n.Field("key"), n.Field("op"), n.Field("value")
	if values == nil {
		values = n.Field("values")
	}
	if key.Text() == "" || op.Text() == "" {
		return nil
	}
	a := &ask{name: key, op: op}
	switch op.Value {
	case "Gte":
		a.term.Op = compat.Ge
	case "Lte":
		a.term.Op = compat.Le
	default:
		if !r.operator(a, op.Value) {
			return nil
		}
	}
	for _, value := range values.Texts() {
		if value.Kind != document.Scalar {
			return nil
		}
		a.values = append(a.values, value)
		a.term.Values = append(a.term.Values, value.Value)
	}
	if !r.operands(a) {
		return nil
	}
	return r.ofLabel(a, strings.TrimPrefix(key.Value, labelPrefix))
}

// ofLabel finds the fact that a label is made of. A label that is true or
// missing is left alone: its op says it all.
func (r *run) ofLabel(a *ask, label string) *ask {
	reqs := r.in.Requirements([]compat.Attribute{{Group: "label", Key: label, Value: "true", Kind: compat.Bool}})
	if len(reqs) != 1 || strings.HasPrefix(reqs[0].Unclear, "no compatibility spec") {
		r.at(a.name, codeUnknownAttribute).say(label, "no fact of a node is behind the label "+textutil.Quote(label), r.nearestAttribute("label", label))
		return nil
	}
	element := label[strings.LastIndexByte(label, '.')+1:]
	switch {
	case strings.HasPrefix(label, "kernel-version."):
		a.set, a.term.Element = "kernel.version", element
	case len(reqs[0].Terms) == 1 && reqs[0].Terms[0].Op == compat.In:
		a.set, a.term.Element = reqs[0].Set, reqs[0].Terms[0].Element
	case reqs[0].Unclear == "" && len(reqs[0].Terms) == 1 && !reqs[0].Not:
		a.set, a.term.Element = reqs[0].Set, reqs[0].Terms[0].Element
		a.term.Op, a.term.Values = reqs[0].Terms[0].Op, reqs[0].Terms[0].Values
		a.values = nil
	default:
		return nil
	}
	return a
}
