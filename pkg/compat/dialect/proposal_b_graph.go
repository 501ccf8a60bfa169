package dialect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// relations reads the graphs, and then the criteria that name them.
func (p *graphParser) relations(n *document.Node) ([]compat.Requirement, error) {
	if err := n.OnlyKeys("relations", "graphs", "validationCriteria"); err != nil {
		return nil, err
	}
	if graphs := n.Field("graphs"); graphs != nil {
		if err := graphs.Each("graphs", p.graph); err != nil {
			return nil, err
		}
	}
	if err := n.NeedKeys("validationCriteria"); err != nil {
		return nil, err
	}
	return eachOf(n.Field("validationCriteria"), "validationCriteria", p.criterion)
}

func (p *graphParser) graph(name, n *document.Node) error {
	g := &graphEdges{edges: map[string][]graphEdge{}, into: map[string]bool{}}
	p.graphs[name.Value] = g
	edges := n.Field("edges")
	err := cmp.Or(
		n.AsMapping("the graph "+textutil.Quote(name.Value)), n.OnlyKeys("a graph", "edges", "annotations"),
		n.Field("annotations").AsMapping("annotations"),
	)
	if err == nil && edges == nil {
		err = n.Errorf(`the graph %s has no "edges"`, textutil.Quote(name.Value))
	}
	if err != nil {
		return err
	}
	list, err := edges.AsList("edges")
	if err == nil && len(list) == 0 {
		err = edges.Errorf("the graph %s has no edge", textutil.Quote(name.Value))
	}
	for _, edge := range list {
		if err == nil {
			err = p.edge(g, edge)
		}
	}
	return err
}

func (p *graphParser) edge(g *graphEdges, n *document.Node) error {
	if err := n.OnlyKeys("an edge", "from", "to"); err != nil {
		return err
	}
	if n.Field("from") == nil || n.Field("to") == nil {
		return n.Errorf("an edge needs from and to")
	}
	from, err := p.id(0, n.Field("from"))
	if err != nil {
		return err
	}
	e := graphEdge{at: n}
	if e.to, e.condition, err = condition(n.Field("to"), "compatibilities", p.id); err != nil {
		return err
	}
	if g.edges[from] == nil {
		g.from = append(g.from, from)
	}
	g.edges[from] = append(g.edges[from], e)
	for _, id := range e.to {
		g.into[id] = true
	}
	return nil
}

// id reads the id of a compatibility that is declared.
func (p *graphParser) id(_ int, n *document.Node) (string, error) {
	id, err := n.AsText("an id")
	if err == nil && !p.isKnown(id) {
		err = n.Errorf("no compatibility has the id %s%s", textutil.Quote(id), near(id, p.ids))
	}
	return id, err
}

// near suggests the name that was probably meant.
func near(name string, known []string) string {
	if meant := textutil.Nearest(name, known); meant != "" {
		return " (is " + textutil.Quote(meant) + " meant?)"
	}
	return ""
}

// condition reads a list of names together with how they combine.
func condition(n *document.Node, list string, name reader[string]) (names []string, c compat.Combine, err error) {
	err = cmp.Or(n.OnlyKeys("a condition", list, "condition", "annotations"), n.Field("annotations").AsMapping("annotations"))
	if err != nil {
		return nil, compat.Leaf, err
	}
	if word := n.Field("condition"); word != nil {
		c = map[string]compat.Combine{"allOf": compat.AllOf, "oneOf": compat.OneOf, "noneOf": compat.NoneOf}[word.Value]
		if c == compat.Leaf {
			return nil, compat.Leaf, word.Errorf("condition is %s, not one of allOf, oneOf, noneOf", word.Describe())
		}
	}
	if members := n.Field(list); members != nil {
		if names, err = eachOf(members, list, name); err != nil {
			return nil, compat.Leaf, err
		}
	}
	if len(names) == 0 || c == compat.Leaf {
		return nil, compat.Leaf, n.Errorf("%s and condition are needed", list)
	}
	return names, c, nil
}

func (p *graphParser) criterion(i int, n *document.Node) (compat.Requirement, error) {
	names, combine, err := condition(n, "graphs", func(_ int, m *document.Node) (string, error) {
		name, err := m.AsText("a graph")
		if err == nil && p.graphs[name] == nil {
			err = m.Errorf("no graph is named %s%s", textutil.Quote(name), near(name, slices.Sorted(maps.Keys(p.graphs))))
		}
		return name, err
	})
	if err != nil {
		return compat.Requirement{}, err
	}
	req := compat.Requirement{Key: fmt.Sprintf("criterion %d", i+1), Combine: combine}
	for _, name := range names {
		graph, err := p.whole(name, n)
		if err != nil {
			return compat.Requirement{}, err
		}
		req.Parts = append(req.Parts, graph)
	}
	return req, nil
}

// whole makes the requirement of a graph: its roots hold with what is below.
func (p *graphParser) whole(name string, at *document.Node) (compat.Requirement, error) {
	g := p.graphs[name]
	req := compat.Requirement{Key: textutil.Short("graph " + name), Title: textutil.Short(name), Combine: compat.AllOf}
	for _, from := range g.from {
		if g.into[from] {
			continue
		}
		part, err := p.below(g, from, 0, at)
		if err != nil {
			return compat.Requirement{}, err
		}
		req.Parts = append(req.Parts, part)
	}
	if len(req.Parts) == 0 {
		return compat.Requirement{}, at.Errorf("the graph %s has no beginning: its edges go round", textutil.Quote(name))
	}
	return req, nil
}

// below makes the requirement of a compatibility with all that its edges lead
// to. Where it does not hold itself, what is below is not looked at.
func (p *graphParser) below(g *graphEdges, id string, depth int, at *document.Node) (compat.Requirement, error) {
	p.parts++
	switch {
	case depth > maxGraphDepth:
		return compat.Requirement{}, at.Errorf("the edges go round, or are more than %d deep", maxGraphDepth)
	case p.parts > maxGraphParts:
		return compat.Requirement{}, at.Errorf("the graphs have more than %d paths", maxGraphParts)
	}
	edges := g.edges[id]
	if len(edges) == 0 {
		return p.asked[id], nil
	}
	req := compat.Requirement{Key: textutil.Short(id), Title: textutil.Short(id), Combine: compat.AllOf, Prune: true, Parts: []compat.Requirement{p.asked[id]}}
	for _, e := range edges {
		to := compat.Requirement{Key: textutil.Short(id), Combine: e.condition}
		for _, next := range e.to {
			part, err := p.below(g, next, depth+1, e.at)
			if err != nil {
				return compat.Requirement{}, err
			}
			to.Parts = append(to.Parts, part)
		}
		req.Parts = append(req.Parts, to)
	}
	return req, nil
}
