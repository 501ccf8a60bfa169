package compat

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Graph is a compatibility schema of Proposal D: a graph in the JSON Graph
// Format, version 2, whose nodes are attributes.
type Graph struct {
	ID, Type, Label string
	Version, Source string // of its metadata
	Nodes           []GraphNode
	Edges           []GraphEdge
}

// GraphNode is an attribute that a schema defines.
type GraphNode struct{ Name, Label string }

// GraphEdge is a relation between two attributes, such as "contains".
type GraphEdge struct{ Source, Target, Relation string }

// ParseJGF reads a schema graph:
//
//	{graph: {id, type, label, directed, metadata, nodes: {NAME: {label}},
//	  edges: [{source, target, relation}]}}
//
// It does not ask whether the graph makes sense; see Validate.
func ParseJGF(body []byte) (*Graph, error) {
	root, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	var graph *yaml.Node
	err = eachField(root, "the document", func(key, value *yaml.Node) error {
		if key.Value != "graph" {
			return unknownKey(key, "the document", "graph")
		}
		graph = value
		return nil
	})
	if err == nil && graph == nil {
		err = nodeError(root, `key "graph" is missing`)
	}
	if err != nil {
		return nil, err
	}
	g := &Graph{}
	if err := eachField(graph, "graph", g.member); err != nil {
		return nil, err
	}
	if len(g.Nodes) == 0 {
		return nil, nodeError(graph, "the graph has no node")
	}
	return g, nil
}

func (g *Graph) member(key, value *yaml.Node) (err error) {
	switch key.Value {
	case "id":
		g.ID, err = scalarOf(value, "id")
	case "type":
		g.Type, err = scalarOf(value, "type")
	case "label":
		g.Label, err = scalarOf(value, "label")
	case "directed":
		if value.ShortTag() != "!!bool" {
			err = nodeError(value, "expected directed to be true or false, found %s", describeNode(value))
		}
	case "metadata":
		return eachField(value, "metadata", func(key, value *yaml.Node) (err error) {
			switch key.Value {
			case "version":
				g.Version, err = scalarOf(value, "version")
			case "source":
				g.Source, err = scalarOf(value, "source")
			}
			return err
		})
	case "nodes":
		return eachField(value, "nodes", g.node)
	case "edges":
		edges, err := listOf(value, "edges")
		for i := 0; err == nil && i < len(edges); i++ {
			err = g.edge(edges[i])
		}
		return err
	default:
		return unknownKey(key, "graph", "id", "type", "label", "directed", "metadata", "nodes", "edges")
	}
	return err
}

func (g *Graph) node(key, value *yaml.Node) error {
	node := GraphNode{Name: key.Value}
	err := eachField(value, "the node "+quoted(key.Value), func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "label":
			node.Label, err = scalarOf(value, "label")
		case "metadata":
			err = eachField(value, "metadata", func(_, _ *yaml.Node) error { return nil })
		default:
			err = unknownKey(key, "a node", "label", "metadata")
		}
		return err
	})
	g.Nodes = append(g.Nodes, node)
	return err
}

func (g *Graph) edge(n *yaml.Node) error {
	var edge GraphEdge
	err := eachField(n, "an edge", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "source":
			edge.Source, err = scalarOf(value, "source")
		case "target":
			edge.Target, err = scalarOf(value, "target")
		case "relation":
			edge.Relation, err = scalarOf(value, "relation")
		case "id", "label", "directed":
			_, err = scalarOf(value, key.Value)
		case "metadata":
			err = eachField(value, "metadata", func(_, _ *yaml.Node) error { return nil })
		default:
			err = unknownKey(key, "an edge", "source", "target", "relation", "id", "label", "directed", "metadata")
		}
		return err
	})
	if err == nil && (edge.Source == "" || edge.Target == "") {
		err = nodeError(n, "an edge needs source and target")
	}
	g.Edges = append(g.Edges, edge)
	return err
}

// Validate says what Proposal D asks of a schema and the graph does not hold:
// an id, edges between nodes that are there, and no node without an edge. All
// of it is said, joined into one error.
func (g *Graph) Validate() error {
	var problems []error
	if g.ID == "" {
		problems = append(problems, errors.New("the graph has no id"))
	}
	declared := map[string]bool{}
	for _, n := range g.Nodes {
		declared[n.Name] = true
	}
	linked := map[string]bool{}
	for _, e := range g.Edges {
		for _, end := range []string{e.Source, e.Target} {
			if !declared[end] && !linked[end] {
				problems = append(problems, fmt.Errorf("an edge has the node %s, which is not declared", quoted(end)))
			}
			linked[end] = true
		}
	}
	for _, n := range g.Nodes {
		if !linked[n.Name] {
			problems = append(problems, fmt.Errorf("no edge has the node %s", quoted(n.Name)))
		}
	}
	return errors.Join(problems...)
}

// Spec returns a compatibility spec of the nodes and their "contains" edges, for
// an author to fill in what each is held against: until then all of it only
// informs.
func (g *Graph) Spec() Spec {
	s := Spec{Version: specVersion, Name: g.ID, Revision: g.Version, Description: g.Label, Groups: []string{g.ID}}
	for _, n := range g.Nodes {
		node := Node{Name: n.Name, Description: n.Label, Type: "string", Importance: "informative"}
		at := slices.IndexFunc(g.Edges, func(e GraphEdge) bool { return e.Target == n.Name && e.Relation == "contains" })
		if at >= 0 && slices.ContainsFunc(g.Nodes, func(p GraphNode) bool { return p.Name == g.Edges[at].Source }) {
			node.Parent = g.Edges[at].Source
		}
		s.Nodes = append(s.Nodes, node)
	}
	return s
}
