package author

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Targets returns the dialects that can be written.
func Targets() []string { return []string{dialectOutline, dialectNFD, dialectCompspec} }

// Written is a document in another dialect.
type Written struct {
	Body []byte
	// Lost says what the dialect cannot say, so that the document asks for less
	// or for something else.
	Lost []string
	// Notes says what readers of the dialect other than imagefit may not know.
	Notes []string
}

// Convert writes the body of an artifact in another dialect, as far as the
// meaning survives.
func Convert(specs []compat.Spec, body []byte, to string) (*Written, error) {
	root, err := parseDocument(body)
	if err != nil {
		return nil, err
	}
	from := dialectOf(root)
	all := compat.Dialects()
	i := slices.IndexFunc(all, func(d compat.Dialect) bool { return d.Name == from })
	if i < 0 {
		return nil, fmt.Errorf("none of the forms that imagefit reads")
	}
	in := compat.NewInterpreter(specs)
	reqs, err := all[i].Parse(in, body)
	if err != nil {
		return nil, fmt.Errorf("read as %s: %w", from, err)
	}
	if to == dialectNFD {
		return writeNFD(reqs)
	}
	var attributes []compat.Attribute
	w := &Written{}
	scopes := attributesIn(from, root, func(*node, string) {})
	if from != dialectNFD && from != dialectOcifit && len(scopes) == 1 && root.field("spec").field("relations") == nil {
		for _, a := range scopes[0] {
			attributes = append(attributes, a.Attribute)
		}
		w.scores(reqs)
	} else {
		attributes = (&reverser{specs: specs, in: in, lost: &w.Lost}).all(reqs)
	}
	return w.attributes(attributes, to)
}

// WriteNeeds writes needs in a dialect.
func WriteNeeds(specs []compat.Spec, needs []Need, to string) (*Written, error) {
	var attributes []compat.Attribute
	for _, n := range needs {
		attributes = append(attributes, n.Attributes...)
	}
	if to == dialectNFD {
		return writeNFD(compat.NewInterpreter(specs).Requirements(attributes))
	}
	return (&Written{}).attributes(attributes, to)
}

// scores says which weights of sets are lost.
func (w *Written) scores(reqs []compat.Requirement) {
	for _, r := range reqs {
		for _, set := range r.Parts {
			if r.Combine == compat.AnyOf && set.Weight != 0 {
				w.Lost = append(w.Lost, fmt.Sprintf("the score %d", set.Weight))
			}
		}
	}
}

// attributes writes one of the dialects that speak of attributes.
func (w *Written) attributes(attributes []compat.Attribute, to string) (*Written, error) {
	groups := &groups{}
	for _, a := range attributes {
		if !groups.add(a) {
			w.Lost = append(w.Lost, fmt.Sprintf("%s/%s = %s: the attribute is there already", cut(a.Group), cut(a.Key), cut(a.Value)))
		}
	}
	var err error
	switch to {
	case dialectOutline:
		w.Body = groups.outline()
		_, err = compat.ParseOutline(w.Body)
	case dialectCompspec:
		w.Body = groups.compspec()
		_, err = compat.ParseCompspec(w.Body)
	default:
		return nil, fmt.Errorf("write %q: use one of %s", to, strings.Join(Targets(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("write as %s: %w", to, err)
	}
	return w, nil
}
