package compat

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// relations reads the graphs, and then the criteria that name them.
func (p *graphParser) relations(n *yaml.Node) ([]Requirement, error) {
	var criteria *yaml.Node
	err := eachField(n, "relations", func(key, value *yaml.Node) error {
		switch key.Value {
		case "graphs":
			return eachField(value, "graphs", p.graph)
		case "validationCriteria":
			criteria = value
			return nil
		default:
			return unknownKey(key, "relations", "graphs", "validationCriteria")
		}
	})
	if err == nil && criteria == nil {
		err = nodeError(n, `key "validationCriteria" is missing`)
	}
	if err != nil {
		return nil, err
	}
	return eachOf(criteria, "validationCriteria", p.criterion)
}

func (p *graphParser) graph(name, n *yaml.Node) error {
	g := &graphEdges{edges: map[string][]graphEdge{}, into: map[string]bool{}}
	p.graphs[name.Value] = g
	var edges *yaml.Node
	err := eachField(n, "the graph "+quoted(name.Value), func(key, value *yaml.Node) error {
		switch key.Value {
		case "edges":
			edges = value
			return nil
		case "annotations":
			return eachField(value, "annotations", func(_, _ *yaml.Node) error { return nil })
		default:
			return unknownKey(key, "a graph", "edges", "annotations")
		}
	})
	if err == nil && edges == nil {
		err = nodeError(n, `the graph %s has no "edges"`, quoted(name.Value))
	}
	if err != nil {
		return err
	}
	list, err := listOf(edges, "edges")
	if err == nil && len(list) == 0 {
		err = nodeError(edges, "the graph %s has no edge", quoted(name.Value))
	}
	for _, edge := range list {
		if err == nil {
			err = p.edge(g, edge)
		}
	}
	return err
}

func (p *graphParser) edge(g *graphEdges, n *yaml.Node) error {
	from, e := "", graphEdge{at: n}
	err := eachField(n, "an edge", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "from":
			from, err = p.id(value)
		case "to":
			e.to, e.condition, err = condition(value, "compatibilities", p.id)
		default:
			err = unknownKey(key, "an edge", "from", "to")
		}
		return err
	})
	if err == nil && (from == "" || len(e.to) == 0) {
		err = nodeError(n, "an edge needs from and to")
	}
	if err != nil {
		return err
	}
	if !slices.Contains(g.from, from) {
		g.from = append(g.from, from)
	}
	g.edges[from] = append(g.edges[from], e)
	for _, id := range e.to {
		g.into[id] = true
	}
	return nil
}

// id reads the id of a compatibility that is there.
func (p *graphParser) id(n *yaml.Node) (string, error) {
	id, err := scalarOf(n, "an id")
	if err == nil && !p.has(id) {
		err = nodeError(n, "no compatibility has the id %s%s", quoted(id), near(id, p.ids))
	}
	return id, err
}

// condition reads a list of names together with how they combine.
func condition(n *yaml.Node, list string, name func(*yaml.Node) (string, error)) (names []string, c Combine, err error) {
	err = eachField(n, "a condition", func(key, value *yaml.Node) error {
		switch key.Value {
		case "condition":
			var ok bool
			c, ok = map[string]Combine{"allOf": AllOf, "oneOf": OneOf, "noneOf": NoneOf}[value.Value]
			if !ok {
				return nodeError(value, "condition is %s, none of allOf, oneOf, noneOf", describeNode(value))
			}
		case "annotations":
			return eachField(value, "annotations", func(_, _ *yaml.Node) error { return nil })
		case list:
			members, err := listOf(value, list)
			if err != nil {
				return err
			}
			for _, m := range members {
				one, err := name(m)
				if err != nil {
					return err
				}
				names = append(names, one)
			}
		default:
			return unknownKey(key, "a condition", list, "condition")
		}
		return nil
	})
	if err == nil && (len(names) == 0 || c == Leaf) {
		err = nodeError(n, "%s and condition are needed", list)
	}
	return names, c, err
}

func (p *graphParser) criterion(i int, n *yaml.Node) (Requirement, error) {
	names, combine, err := condition(n, "graphs", func(m *yaml.Node) (string, error) {
		name, err := scalarOf(m, "a graph")
		if err == nil && p.graphs[name] == nil {
			err = nodeError(m, "there is no graph %s%s", quoted(name), near(name, slices.Sorted(maps.Keys(p.graphs))))
		}
		return name, err
	})
	if err != nil {
		return Requirement{}, err
	}
	req := Requirement{Key: fmt.Sprintf("criterion %d", i+1), Combine: combine}
	for _, name := range names {
		graph, err := p.whole(name, n)
		if err != nil {
			return Requirement{}, err
		}
		req.Parts = append(req.Parts, graph)
	}
	return req, nil
}

// whole makes the requirement of a graph: its roots hold with what is below.
func (p *graphParser) whole(name string, at *yaml.Node) (Requirement, error) {
	g := p.graphs[name]
	req := Requirement{Key: shortened("graph " + name), Title: shortened(name), Combine: AllOf}
	for _, from := range g.from {
		if g.into[from] {
			continue
		}
		part, err := p.below(g, from, 0, at)
		if err != nil {
			return Requirement{}, err
		}
		req.Parts = append(req.Parts, part)
	}
	if len(req.Parts) == 0 {
		return Requirement{}, nodeError(at, "the graph %s has no beginning: its edges go round", quoted(name))
	}
	return req, nil
}

// below makes the requirement of a compatibility with all that its edges lead
// to. Where it does not hold itself, what is below is not looked at.
func (p *graphParser) below(g *graphEdges, id string, depth int, at *yaml.Node) (Requirement, error) {
	p.parts++
	switch {
	case depth > maxGraphDepth:
		return Requirement{}, nodeError(at, "the edges go round, or are more than %d deep", maxGraphDepth)
	case p.parts > maxGraphParts:
		return Requirement{}, nodeError(at, "the graphs have more than %d paths", maxGraphParts)
	}
	edges := g.edges[id]
	if len(edges) == 0 {
		return p.asked[id], nil
	}
	req := Requirement{Key: shortened(id), Title: shortened(id), Combine: AllOf, Prune: true, Parts: []Requirement{p.asked[id]}}
	for _, e := range edges {
		to := Requirement{Key: shortened(id), Combine: e.condition}
		for _, next := range e.to {
			part, err := p.below(g, next, depth+1, e.at)
			if err != nil {
				return Requirement{}, err
			}
			to.Parts = append(to.Parts, part)
		}
		req.Parts = append(req.Parts, to)
	}
	return req, nil
}
