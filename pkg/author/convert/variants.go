package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/version"
)

// isVariants tells the variant.json of a Python wheel (PEP 825), or the list of all
// variants of a release, from the body of an artifact.
func isVariants(root *document.Node) bool { return root.Field("variants") != nil }

// Variant writes what one variant of a Python package asks of a node, as its wheel
// states it. Without a label the document must have only one.
func Variant(specs []spec.Spec, body []byte, label, to string) (*Written, error) {
	root, err := document.ParseJSON(body)
	if err != nil {
		return nil, err
	}
	if !isVariants(root) {
		return nil, root.Errorf("it has no variants as PEP 825 describes them")
	}
	return variant(specs, root, label, to)
}

func variant(specs []spec.Spec, root *document.Node, label, to string) (*Written, error) {
	variants := root.Field("variants")
	if err := variants.AsMapping("variants"); err != nil {
		return nil, err
	}
	var labels []string
	for key := range variants.Pairs {
		labels = append(labels, key.Value)
	}
	if label == "" && len(labels) == 1 {
		label = labels[0]
	}
	chosen := variants.Field(label)
	if chosen == nil {
		return nil, variants.Errorf("pick one of the variants: %s", textutil.Short(strings.Join(labels, ", ")))
	}
	w := &Written{}
	attributes, err := w.properties(specs, chosen)
	if err != nil {
		return nil, err
	}
	written, err := Attributes(specs, attributes, to)
	if err != nil {
		return nil, err
	}
	written.Lost = append(w.Lost, written.Lost...)
	return written, nil
}

// properties reads namespaces, each with features that have lists of values.
func (w *Written) properties(specs []spec.Spec, chosen *document.Node) ([]compat.Attribute, error) {
	in := spec.NewInterpreter(specs)
	var all []compat.Attribute
	err := chosen.Each("the variant", func(namespace, features *document.Node) error {
		return features.Each("the namespace "+textutil.Quote(namespace.Value), func(feature, values *document.Node) error {
			p := dialect.Property{Namespace: namespace.Value, Feature: feature.Value}
			texts, err := valuesOf(values)
			if err != nil {
				return err
			}
			var ok bool
			if p.Value, ok = sufficient(p, texts); !ok {
				w.Lost = append(w.Lost, fmt.Sprintf("%s :: %s: one of several values is an alternative, which attributes do not have", textutil.Short(p.Namespace), textutil.Short(p.Feature)))
				return nil
			}
			a := p.Attribute()
			if slices.ContainsFunc(in.Requirements([]compat.Attribute{a}), func(r compat.Requirement) bool { return r.Unclear != "" }) {
				w.Lost = append(w.Lost, textutil.Short(p.String())+": "+whyLost(p))
				return nil
			}
			all = append(all, a)
			return nil
		})
	})
	return all, err
}

// whyLost is why a property is not an attribute.
func whyLost(p dialect.Property) string {
	if p.Namespace == "nvidia" && p.Feature == "cuda_version_upper_bound" {
		return "drivers run programs of all earlier releases of CUDA"
	}
	return "no compatibility spec knows a fact of the node for it"
}

func valuesOf(values *document.Node) ([]string, error) {
	list, err := values.AsList("the values of a feature")
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, member := range list {
		text, err := member.AsText("a value of a feature")
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// sufficient is the value of several that is enough: a node needs one of them, and of
// levels and least versions it has all up to its own.
func sufficient(p dialect.Property, values []string) (string, bool) {
	if p.Namespace == "nvidia" && p.Feature == "sm_arch" && len(values) > 0 {
		return strings.Join(values, " "), true // which becomes a range
	}
	if len(values) == 1 {
		return values[0], true
	}
	ordered := []dialect.Property{{Namespace: "x86_64", Feature: "level"}, {Namespace: "aarch64", Feature: "version"}, {Namespace: "nvidia", Feature: "cuda_version_lower_bound"}}
	if len(values) == 0 || !slices.Contains(ordered, p) {
		return "", false
	}
	return slices.MinFunc(values, func(a, b string) int {
		order, _ := version.Compare(a, b) // what is not a version, its attribute says
		return order
	}), true
}
