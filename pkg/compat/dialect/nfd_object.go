package dialect

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat/document"
)

// isRuleObject tells an object of Kubernetes with rules of NFD, NodeFeatureRule or
// NodeFeatureGroup, from a spec with rules. Its rules are the same, and what it asks
// for is a label.
func isRuleObject(root *document.Node) bool {
	kind := root.Field("kind").Text()
	return (kind == "NodeFeatureRule" || kind == "NodeFeatureGroup") && strings.HasPrefix(root.Field("apiVersion").Text(), "nfd.")
}

// RuleObject says of an object of Kubernetes with rules of NFD what it is and what
// makes a spec of it; both are empty for any other document.
func RuleObject(root *document.Node) (is, instead string) {
	if !isRuleObject(root) {
		return "", ""
	}
	return "this is a " + root.Field("kind").Value + " of Kubernetes, which labels nodes, and not a spec of what an image needs",
		`"imagefit convert FILE --to ` + NFD + `", which writes its rules as one`
}

// SpecOfRules returns a spec of what the rules of a NodeFeatureRule look for, all of
// them together; ok is false for any other document. What they would do to a node,
// such as labels, is left out and named.
func SpecOfRules(root *document.Node) (spec *document.Node, leftOut []string, ok bool) {
	if !isRuleObject(root) {
		return nil, nil, false
	}
	rules := root.Field("spec").Field("rules")
	if rules == nil {
		rules = root.Field("spec").Field("featureGroupRules")
	}
	kept := &document.Node{Kind: document.List}
	for _, rule := range rules.Members() {
		one := &document.Node{Kind: document.Mapping, Row: rule.Row, Column: rule.Column}
		for key, value := range rule.Pairs {
			if slices.Contains([]string{"labels", "labelsTemplate", "annotations", "extendedResources", "taints"}, key.Value) {
				leftOut = append(leftOut, key.Value+" of rule "+rule.Field("name").Text())
				continue
			}
			one.Keys, one.Values = append(one.Keys, key), append(one.Values, value)
		}
		kept.Values = append(kept.Values, one)
	}
	if len(kept.Values) == 0 {
		return nil, nil, false
	}
	word := func(text string) *document.Node { return &document.Node{Tag: "str", Value: text, Length: -1} }
	object := func(key string, value *document.Node) *document.Node {
		return &document.Node{Kind: document.Mapping, Keys: []*document.Node{word(key)}, Values: []*document.Node{value}}
	}
	spec = object("version", word("v1alpha1"))
	spec.Keys = append(spec.Keys, word("compatibilities"))
	spec.Values = append(spec.Values, &document.Node{Kind: document.List, Values: []*document.Node{object("rules", kept)}})
	return spec, leftOut, true
}
