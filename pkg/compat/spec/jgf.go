package spec

import (
	"cmp"
	"errors"
	"slices"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// graphSchema is a compatibility schema of Proposal D: a graph in the JSON Graph
// Format, version 2, whose nodes are attributes:
//
//	{graph: {id, type, label, directed, metadata, nodes: {NAME: {label}},
//	  edges: [{source, target, relation}]}}
type graphSchema struct{ graph, nodes *document.Node }

// specOfGraph reads a schema graph as a compatibility spec of its nodes and
// their "contains" edges. The graph does not say what an attribute is compared
// with, so until an author adds that, all of them are informative.
func specOfGraph(text []byte) (Spec, rows, error) {
	root, err := document.ParseJSON(text)
	if err != nil {
		return Spec{}, nil, err
	}
	if err := cmp.Or(root.OnlyKeys("the document", "graph"), root.NeedKeys("graph")); err != nil {
		return Spec{}, nil, err
	}
	g := graphSchema{root.Field("graph"), root.Field("graph").Field("nodes")}
	if err := cmp.Or(g.checkShape(), g.checkEdges()); err != nil {
		return Spec{}, nil, err
	}
	id := g.graph.Field("id").Text()
	s := Spec{
		Version: specVersion, Name: id, Revision: g.graph.Field("metadata").Field("version").Text(),
		Description: g.graph.Field("label").Text(), Groups: []string{id},
	}
	parents := map[string]string{}
	for _, e := range slices.Backward(g.graph.Field("edges").Members()) { // the first one decides
		if e.Field("relation").Text() == "contains" {
			parents[e.Field("target").Text()] = e.Field("source").Text()
		}
	}
	var at []int
	for name, n := range g.nodes.Pairs {
		at = append(at, name.Row)
		s.Nodes = append(s.Nodes, Node{
			Name: name.Value, Parent: parents[name.Value], Description: n.Field("label").Text(),
			Type: "string", Importance: compat.Informative.String(),
		})
	}
	return s, rows{"node": at}, nil
}

func (g graphSchema) checkShape() error {
	err := cmp.Or(
		g.graph.OnlyKeys("graph", "id", "type", "label", "directed", "metadata", "nodes", "edges"),
		g.graph.TextKeys("id", "type", "label"), g.graph.Field("metadata").AsMapping("metadata"),
		g.graph.Field("metadata").TextKeys("version", "source"), g.nodes.AsMapping("nodes"),
	)
	if directed := g.graph.Field("directed"); err == nil && directed != nil && directed.Tag != "bool" {
		err = directed.Errorf("expected directed to be true or false, found %s", directed.Describe())
	}
	for name, n := range g.nodes.Pairs {
		err = cmp.Or(err,
			n.AsMapping("the node "+textutil.Quote(name.Value)), n.OnlyKeys("a node", "label", "metadata"), n.TextKeys("label"))
	}
	edges := g.graph.Field("edges")
	if err == nil && edges != nil {
		_, err = edges.AsList("edges")
	}
	for _, e := range edges.Members() {
		err = cmp.Or(err,
			e.OnlyKeys("an edge", "source", "target", "relation", "id", "label", "directed", "metadata"),
			e.TextKeys("source", "target", "relation", "id", "label", "directed"))
	}
	return err
}

// checkEdges refuses what Proposal D does: a graph without an id, edges between
// nodes that are not declared, and nodes without an edge. All of it is in the
// error.
func (g graphSchema) checkEdges() error {
	if g.graph.Kind != document.Mapping || g.nodes == nil || g.nodes.IsEmpty() {
		return g.graph.Errorf("the graph has no node")
	}
	var problems []error
	if g.graph.Field("id").Text() == "" {
		problems = append(problems, g.graph.Errorf("the graph has no id"))
	}
	if len(g.nodes.Keys) > maxNodes {
		return g.nodes.Errorf("more than %d nodes", maxNodes)
	}
	linked := map[string]bool{}
	for _, e := range g.graph.Field("edges").Members() {
		if e.Field("source") == nil || e.Field("target") == nil {
			return e.Errorf("an edge needs source and target")
		}
		for _, end := range []string{"source", "target"} {
			name := e.Field(end).Text()
			if g.nodes.Key(name) == nil && !linked[name] {
				problems = append(problems, e.Field(end).Errorf("an edge has the node %s, which is not declared", textutil.Quote(name)))
			}
			linked[name] = true
		}
	}
	for name := range g.nodes.Pairs {
		if !linked[name.Value] {
			problems = append(problems, name.Errorf("no edge has the node %s", textutil.Quote(name.Value)))
		}
	}
	return errors.Join(problems...)
}
