package dialect

import (
	"cmp"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

const (
	maxGraphDepth = 64
	maxGraphParts = 10_000
)

// proposalB is Proposal B:
//
//	{spec: {compatibilities: [{id, domain, attributes}], relations:
//	  {graphs: {NAME: {edges: [{from, to: {compatibilities, condition}}]}},
//	   validationCriteria: [{graphs, condition}]}}}
//
// Without relations all compatibilities hold. With them the criteria do: a
// graph holds where the compatibilities that no edge leads to hold, and for
// each that is reached, its edges do.
func proposalB() Dialect {
	return Dialect{
		Name:          "proposal-b",
		ArtifactTypes: []string{ArtifactType},
		LayerTypes:    []string{LayerTypeOutline},
		Matches:       func(root *document.Node) bool { return root.Field("spec") != nil },
		Requirements: func(in *spec.Interpreter, root *document.Node) ([]compat.Requirement, error) {
			if err := cmp.Or(root.OnlyKeys("the document", "spec"), root.NeedKeys("spec")); err != nil {
				return nil, err
			}
			p := &graphParser{in: in, asked: map[string]compat.Requirement{}, graphs: map[string]*graphEdges{}}
			return p.spec(root.Field("spec"))
		},
		Attributes: func(root *document.Node) []Scope {
			var scopes []Scope
			related := root.Field("spec").Field("relations") != nil
			for _, c := range root.Field("spec").Field("compatibilities").Members() {
				group := groupOf(c.Field("domain").Text(), c.Field("attributes"))
				scopes = append(scopes, Scope{Groups: []Group{group}, Conditional: related})
			}
			return scopes
		},
	}
}

type graphParser struct {
	in     *spec.Interpreter
	ids    []string // in the order of the document
	asked  map[string]compat.Requirement
	graphs map[string]*graphEdges
	parts  int // made so far: a small graph can have very many paths
}

// graphEdges is one graph: for each compatibility the edges that leave it.
type graphEdges struct {
	from  []string
	edges map[string][]graphEdge
	into  map[string]bool
}

type graphEdge struct {
	to        []string
	condition compat.Combine
	at        *document.Node
}

func (p *graphParser) spec(n *document.Node) ([]compat.Requirement, error) {
	if err := cmp.Or(n.OnlyKeys("spec", "compatibilities", "relations"), n.NeedKeys("compatibilities")); err != nil {
		return nil, err
	}
	entries, err := n.Field("compatibilities").AsList("compatibilities")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if err := p.compatibility(entry); err != nil {
			return nil, err
		}
	}
	if relations := n.Field("relations"); relations != nil {
		return p.relations(relations)
	}
	reqs := make([]compat.Requirement, 0, len(p.ids))
	for _, id := range p.ids {
		reqs = append(reqs, p.asked[id])
	}
	return reqs, nil
}

// isKnown reports whether a compatibility of that id was read.
func (p *graphParser) isKnown(id string) bool { _, ok := p.asked[id]; return ok }

func (p *graphParser) compatibility(n *document.Node) error {
	err := cmp.Or(
		n.OnlyKeys("a compatibility", "id", "domain", "attributes", "annotations"),
		n.TextKeys("id", "domain"), n.Field("annotations").AsMapping("annotations"),
	)
	if err != nil {
		return err
	}
	id, domain, attributes := n.Field("id").Text(), n.Field("domain").Text(), n.Field("attributes")
	switch {
	case id == "" || domain == "" || attributes == nil:
		return n.Errorf("a compatibility needs id, domain and attributes")
	case p.isKnown(id):
		return n.Errorf("the id %s is given twice", textutil.Quote(id))
	}
	group := groupOf(domain, attributes)
	if err := group.check(); err != nil {
		return err
	}
	p.ids = append(p.ids, id)
	p.asked[id] = compat.Requirement{Key: textutil.Short(id), Title: textutil.Short(id), Combine: compat.AllOf, Parts: p.in.Requirements(group.plain())}
	return nil
}
