package flux

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/imagefit/imagefit/pkg/placement"
)

const (
	containment = "containment"
	// Subsystem is the name of the graph of classes.
	Subsystem = "imagefit"
)

// Graph is resources in the JSON graph format that Fluxion reads.
type Graph struct {
	Graph struct {
		Nodes []Vertex `json:"nodes"`
		Edges []Edge   `json:"edges"`
	} `json:"graph"`
}

// Vertex is a resource.
type Vertex struct {
	ID       string   `json:"id"`
	Metadata Metadata `json:"metadata"`
}

// Metadata is what Fluxion knows of a resource.
type Metadata struct {
	Type       string            `json:"type"`
	Basename   string            `json:"basename"`
	Name       string            `json:"name"`
	ID         int               `json:"id"`
	UniqID     int               `json:"uniq_id"`
	Rank       int               `json:"rank"`
	Exclusive  bool              `json:"exclusive"`
	Unit       string            `json:"unit"`
	Size       int               `json:"size"`
	Paths      map[string]string `json:"paths"`
	Properties map[string]string `json:"properties,omitempty"`
}

// Edge leads from a resource to one that it contains, or to one of the class.
type Edge struct {
	Source   string       `json:"source"`
	Target   string       `json:"target"`
	Metadata EdgeMetadata `json:"metadata"`
}

// EdgeMetadata is the subsystem of an edge, and what it means there.
type EdgeMetadata struct {
	Subsystem    string `json:"subsystem"`
	Relationship string `json:"relationship"`
}

// maxChildren bounds the cores, and the GPUs, of a node.
const maxChildren = 1 << 16

// JGF returns the graph of a cluster with the nodes of a resource set, their cores, GPUs
// and properties, and a subsystem of its own with a vertex for each class.
func JGF(r *R, nodes map[string][]string, tokens placement.Tokens) (*Graph, error) {
	hosts, err := r.hosts()
	if err != nil {
		return nil, err
	}
	g, classOf := &Graph{}, classes(nodes)
	cluster := g.add("cluster", "cluster", 0, -1, map[string]string{containment: "/cluster0"})
	root := g.add("imagefit", Subsystem, 0, -1, map[string]string{Subsystem: "/" + Subsystem + "0"})
	of := map[string]int{}
	for i, id := range slices.Sorted(maps.Keys(nodes)) {
		of[id] = g.add("imageclass", placement.Token(id), i, -1, map[string]string{Subsystem: "/" + Subsystem + "0/" + placement.Token(id)})
		g.name(of[id], placement.Token(id))
		g.edge(root, of[id], Subsystem)
	}
	for _, h := range hosts {
		paths := map[string]string{containment: "/cluster0/" + h.name}
		id, known := classOf[h.name]
		if known {
			paths[Subsystem] = "/" + Subsystem + "0/" + placement.Token(id) + "/" + h.name
		}
		node := g.add("node", "node", h.rank, h.rank, paths)
		g.name(node, h.name)
		g.edge(cluster, node, containment)
		if known {
			g.Graph.Nodes[node].Metadata.Properties = map[string]string{}
			for _, token := range tokens.Of(id) {
				g.Graph.Nodes[node].Metadata.Properties[token] = ""
			}
			g.edge(of[id], node, Subsystem)
		}
		if err := g.addChildren(node, h); err != nil {
			return nil, fmt.Errorf("node %s: %w", h.name, err)
		}
	}
	return g, nil
}

// addChildren adds what a node contains: cores and GPUs.
func (g *Graph) addChildren(node int, h host) error {
	for _, kind := range slices.Sorted(maps.Keys(h.children)) {
		ids, err := parseIdset(h.children[kind], maxChildren)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		for _, id := range ids {
			path := "/cluster0/" + h.name + "/" + kind + strconv.Itoa(id)
			g.edge(node, g.add(kind, kind, id, h.rank, map[string]string{containment: path}), containment)
		}
	}
	return nil
}

// add adds a vertex and returns its place.
func (g *Graph) add(kind, basename string, id, rank int, paths map[string]string) int {
	place := len(g.Graph.Nodes)
	g.Graph.Nodes = append(g.Graph.Nodes, Vertex{ID: strconv.Itoa(place), Metadata: Metadata{
		Type: kind, Basename: basename, Name: basename + strconv.Itoa(id), ID: id, UniqID: place, Rank: rank, Size: 1, Paths: paths,
	}})
	return place
}

// name gives a vertex a name that does not end in its number.
func (g *Graph) name(place int, name string) { g.Graph.Nodes[place].Metadata.Name = name }

func (g *Graph) edge(source, target int, subsystem string) {
	g.Graph.Edges = append(g.Graph.Edges, Edge{strconv.Itoa(source), strconv.Itoa(target), EdgeMetadata{subsystem, "contains"}})
}
