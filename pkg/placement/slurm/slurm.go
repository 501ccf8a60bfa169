// Package slurm writes where images can run for Slurm, whose nodes have features, and
// reads what scontrol prints of nodes.
package slurm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
)

// Constraint returns the value of sbatch --constraint, or of --prefer.
func Constraint(e placement.Expression) string { return e.String() }

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
		if placement.IsClass(feature) {
			return strings.TrimPrefix(feature, placement.TokenPrefix)
		}
	}
	return ""
}

// Tokens returns the features that are ours, without that of the class. It is not nil.
func (n Node) Tokens() []string {
	tokens := []string{}
	for _, feature := range n.Active {
		if strings.HasPrefix(feature, placement.TokenPrefix) && !placement.IsClass(feature) {
			tokens = append(tokens, feature)
		}
	}
	return tokens
}

// Features returns the lines of slurm.conf that give nodes their features, for nodes that
// have no line yet. The nodes are those of each class.
func Features(nodes map[string][]string, tokens placement.Tokens) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		fmt.Fprintf(&b, "NodeName=%s Features=%s\n", hostlist.Format(nodes[id]), strings.Join(tokens.Of(id), ","))
	}
	return b.String()
}

// Updates returns the calls of scontrol that give nodes the features that they have now,
// for those that have others of ours. Features of others stay.
func Updates(current []Node, classOf map[string]string, tokens placement.Tokens) string {
	nodes := map[string][]string{} // by the features to set
	for _, n := range current {
		class, known := classOf[n.Name]
		if !known {
			continue
		}
		available, active := exchanged(n.Available, tokens.Of(class)), exchanged(n.Active, tokens.Of(class))
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

// exchanged returns features with these tokens in place of other ones of ours.
func exchanged(features, tokens []string) []string {
	kept := slices.DeleteFunc(slices.Clone(features), func(f string) bool {
		return strings.HasPrefix(f, placement.TokenPrefix) && !slices.Contains(tokens, f)
	})
	for _, token := range tokens {
		if !slices.Contains(kept, token) {
			kept = append(kept, token)
		}
	}
	return kept
}
