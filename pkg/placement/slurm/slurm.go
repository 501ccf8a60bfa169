// Package slurm writes where images can run for Slurm, whose nodes have features, and
// reads what scontrol prints of nodes.
package slurm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
)

// Constraint returns the value of sbatch --constraint.
func Constraint(a placement.Answer) string { return anyOf(a.Usable) }

// Prefer returns the value of sbatch --prefer: the best classes.
func Prefer(a placement.Answer) string { return anyOf(a.Best) }

func anyOf(ids []string) string {
	return cmp.Or(strings.Join(placement.Tokens(ids), "|"), placement.NoClass)
}

// Node is a node as scontrol shows it.
type Node struct {
	Name      string
	Available []string // its features
	Active    []string // those that it has now
}

// ParseNodes reads what "scontrol show node --oneliner" prints.
func ParseNodes(text string) []Node {
	var nodes []Node
	for line := range strings.Lines(text) {
		n := Node{}
		for word := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "NodeName":
				n.Name = value
			case "AvailableFeatures":
				n.Available = list(value)
			case "ActiveFeatures":
				n.Active = list(value)
			}
		}
		if n.Name != "" {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func list(value string) []string {
	if value == "" || value == "(null)" {
		return nil
	}
	return strings.Split(value, ",")
}

// Class returns the ID of the class that the features name, or "".
func (n Node) Class() string {
	for _, feature := range n.Active {
		if id, ok := strings.CutPrefix(feature, placement.TokenPrefix); ok {
			return id
		}
	}
	return ""
}

// Features returns the lines of slurm.conf that give nodes their class, for nodes that
// have no line yet. The nodes are those of each class.
func Features(nodes map[string][]string) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		fmt.Fprintf(&b, "NodeName=%s Features=%s\n", hostlist.Format(nodes[id]), placement.Token(id))
	}
	return b.String()
}

// Updates returns the calls of scontrol that give nodes the classes that they have now,
// for those whose features name another. Other features stay.
func Updates(current []Node, classOf map[string]string) string {
	nodes := map[string][]string{} // by the features to set
	for _, n := range current {
		class, known := classOf[n.Name]
		if !known {
			continue
		}
		available, active := exchanged(n.Available, class), exchanged(n.Active, class)
		if slices.Equal(available, n.Available) && slices.Equal(active, n.Active) {
			continue
		}
		features := fmt.Sprintf("AvailableFeatures=%s ActiveFeatures=%s", strings.Join(available, ","), strings.Join(active, ","))
		nodes[features] = append(nodes[features], n.Name)
	}
	var b strings.Builder
	for _, features := range slices.Sorted(maps.Keys(nodes)) {
		fmt.Fprintf(&b, "scontrol update NodeName=%s %s\n", hostlist.Format(nodes[features]), features)
	}
	return b.String()
}

// exchanged returns features with the token of the class in place of another class.
func exchanged(features []string, class string) []string {
	kept := slices.DeleteFunc(slices.Clone(features), func(f string) bool {
		return strings.HasPrefix(f, placement.TokenPrefix) && f != placement.Token(class)
	})
	if !slices.Contains(kept, placement.Token(class)) {
		kept = append(kept, placement.Token(class))
	}
	return kept
}
