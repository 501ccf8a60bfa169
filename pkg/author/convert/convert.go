package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// Targets returns the dialects that can be written.
func Targets() []string { return []string{dialect.ProposalF, dialect.NFD, dialect.Compspec} }

// Written is a document in another dialect.
type Written struct {
	Body []byte
	// Lost says what the dialect cannot say, so that the document asks for less
	// or for something else.
	Lost []string
	// Notes says what readers of the dialect other than imagefit may not know.
	Notes []string
}

// Body writes the body of an artifact in another dialect, as far as the
// meaning survives. It also takes the variant.json of a Python wheel.
func Body(specs []spec.Spec, body []byte, to string) (*Written, error) {
	if root, err := document.ParseJSON(body); err == nil && isVariants(root) {
		return variant(specs, root, "", to)
	}
	from, ok := dialect.Detect("", "", body)
	root, err := from.Read(body)
	w := &Written{}
	if rules, leftOut, isRule := dialect.SpecOfRules(root); err == nil && isRule {
		root, ok = rules, true
		for _, what := range leftOut {
			w.Notes = append(w.Notes, "left out, since it is for nodes: "+textutil.Short(what))
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errors.New("not a form that imagefit reads")
	}
	in := spec.NewInterpreter(specs)
	reqs, err := from.Requirements(in, root)
	if err != nil {
		return nil, fmt.Errorf("read as %s: %w", from.Name, err)
	}
	if to == dialect.NFD {
		written, err := writeNFD(reqs)
		if err == nil {
			written.Notes = append(w.Notes, written.Notes...)
		}
		return written, err
	}
	if from.Attributes != nil {
		if scopes := from.Attributes(root); len(scopes) == 1 && !scopes[0].Conditional {
			for _, r := range reqs {
				for _, set := range r.Parts {
					if r.Combine == compat.AnyOf && set.Weight != 0 {
						w.Lost = append(w.Lost, fmt.Sprintf("the score %d", set.Weight))
					}
				}
			}
			return w.attributes(scopes[0].Plain(), to)
		}
	}
	// Of specs that speak for any group each key says one thing, so that several
	// of them never meet in one key: they are tried first.
	rank := map[bool]int{true: 0, false: 1}
	specs = slices.SortedStableFunc(slices.Values(specs), func(a, b spec.Spec) int {
		return rank[a.IsGeneral()] - rank[b.IsGeneral()]
	})
	return w.attributes((&reverser{specs: specs, in: in, lost: &w.Lost}).all(reqs), to)
}

// Attributes writes attributes that must all hold in a dialect.
func Attributes(specs []spec.Spec, attributes []compat.Attribute, to string) (*Written, error) {
	if to == dialect.NFD {
		return writeNFD(spec.NewInterpreter(specs).Requirements(attributes))
	}
	return (&Written{}).attributes(attributes, to)
}

// attributes writes one of the dialects that speak of attributes.
func (w *Written) attributes(attributes []compat.Attribute, to string) (*Written, error) {
	groups := &groups{}
	for _, a := range attributes {
		if !groups.add(a) {
			w.Lost = append(w.Lost, fmt.Sprintf("%s/%s = %s: the attribute has another value already", textutil.Short(a.Group), textutil.Short(a.Key), textutil.Short(a.Value)))
		}
	}
	switch to {
	case dialect.ProposalF:
		w.Body = groups.outline()
	case dialect.Compspec:
		w.Body = groups.compspec()
	default:
		return nil, fmt.Errorf("write %q: use one of %s", to, strings.Join(Targets(), ", "))
	}
	return w, verifyWritten(w.Body, to)
}

// verifyWritten reads what was written as others will.
func verifyWritten(body []byte, to string) error {
	d, _ := dialect.Named(to)
	if _, err := d.Parse(spec.NewInterpreter(nil), body); err != nil {
		return fmt.Errorf("write as %s: %w", to, err)
	}
	return nil
}
