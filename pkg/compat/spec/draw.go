package spec

import (
	_ "embed" // the schema
	"fmt"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
)

//go:embed schema/spec.schema.json
var specSchema string

// Schema returns the JSON Schema of compatibility specs, for editors.
func Schema() string { return specSchema }

// GraphText draws the graph of the spec as a tree, one node a line with what
// it is compared with.
func (s *Spec) GraphText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", oneLine(s.Name))
	s.children().draw(&b, "", "")
	return b.String()
}

// children are the nodes that each node contains, by its name.
type children map[string][]*Node

func (s *Spec) children() children {
	all := children{}
	for i := range s.Nodes {
		all[s.Nodes[i].Parent] = append(all[s.Nodes[i].Parent], &s.Nodes[i])
	}
	return all
}

func (c children) draw(b *strings.Builder, parent, indent string) {
	for i, n := range c[parent] {
		branch, below := "├── ", "│   "
		if i == len(c[parent])-1 {
			branch, below = "└── ", "    "
		}
		fmt.Fprintf(b, "%s%s%s\n", indent, branch, strings.TrimSpace(oneLine(n.Name)+"  "+n.meaning()))
		c.draw(b, n.Name, indent+below)
	}
}

// GraphDOT draws the graph in the language of Graphviz. An edge says that a
// node contains another; one that decides over what it contains is drawn bold.
func (s *Spec) GraphDOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n\trankdir=LR;\n\tnode [shape=box];\n", dotQuoted(s.Name))
	contained := s.children()
	for i := range s.Nodes {
		n := &s.Nodes[i]
		label := n.Name
		if meaning := n.meaning(); meaning != "" {
			label += "\n" + meaning
		}
		style := ""
		switch {
		case n.isGroup():
			style = ", style=rounded"
		case n.isPrecondition() && len(contained[n.Name]) > 0:
			style = ", style=bold"
		case n.importance() == compat.Informative:
			style = ", style=dotted"
		}
		fmt.Fprintf(&b, "\t%s [label=%s%s];\n", dotQuoted(n.Name), dotQuoted(label), style)
	}
	for i := range s.Nodes {
		from := s.Nodes[i].Parent
		if from == "" {
			from = s.Name + " "
		}
		fmt.Fprintf(&b, "\t%s -> %s;\n", dotQuoted(from), dotQuoted(s.Nodes[i].Name))
	}
	fmt.Fprintf(&b, "\t%s [label=%s, shape=oval];\n}\n", dotQuoted(s.Name+" "), dotQuoted(s.Name))
	return b.String()
}

// meaning says in short what a node is compared with, such as
// "kernel.version full, version at-least, required".
func (n *Node) meaning() string {
	if n.isGroup() {
		return ""
	}
	importance := n.importance().String()
	if n.Weight > 0 {
		importance += " " + strconv.Itoa(n.Weight)
	}
	if n.Fact == "" {
		return "(" + importance + ")"
	}
	element := n.Element
	if element == "" && len(n.Items) > 0 {
		element = strings.Join(n.Items, "|")
	}
	for _, c := range n.Where {
		if element == "" {
			element = c.Element
		}
	}
	return oneLine(strings.TrimSpace(n.Fact+" "+element)) + ": " + n.Type + " " + n.Match + " (" + importance + ")"
}

// oneLine keeps a text from looking like several lines of a drawing.
func oneLine(s string) string { return textutil.Line(s, 200) }

func dotQuoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(s) + `"`
}
