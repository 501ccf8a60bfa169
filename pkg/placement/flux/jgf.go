package flux

import (
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

// JGF returns the graph of a cluster: nodes with so many cores each and the property of
// their class, and a subsystem of its own with a vertex for each class.
func JGF(nodes map[string][]string, cores int) *Graph {
	g := &Graph{}
	names, ranks := ranked(nodes)
	classOf := map[string]string{}
	for id, of := range nodes {
		for _, name := range of {
			classOf[name] = id
		}
	}
	cluster := g.add("cluster", "cluster", 0, -1, map[string]string{containment: "/cluster0"})
	root := g.add("imagefit", Subsystem, 0, -1, map[string]string{Subsystem: "/" + Subsystem + "0"})
	classes := map[string]int{}
	for i, id := range slices.Sorted(maps.Keys(nodes)) {
		classes[id] = g.add("imageclass", placement.Token(id), i, -1, map[string]string{Subsystem: "/" + Subsystem + "0/" + placement.Token(id)})
		g.name(classes[id], placement.Token(id))
		g.edge(root, classes[id], Subsystem)
	}
	for _, name := range names {
		token := placement.Token(classOf[name])
		path := "/cluster0/" + name
		node := g.add("node", "node", ranks[name], ranks[name], map[string]string{
			containment: path, Subsystem: "/" + Subsystem + "0/" + token + "/" + name,
		})
		g.name(node, name)
		g.Graph.Nodes[node].Metadata.Properties = map[string]string{token: ""}
		g.edge(cluster, node, containment)
		g.edge(classes[classOf[name]], node, Subsystem)
		for core := range cores {
			g.edge(node, g.add("core", "core", core, ranks[name], map[string]string{containment: path + "/core" + strconv.Itoa(core)}), containment)
		}
	}
	return g
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
