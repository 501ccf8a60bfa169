package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// specGroups are the groups that a spec speaks for, in words.
func specGroups(s spec.Spec) []string {
	groups := slices.Clone(s.Groups)
	for _, group := range slices.Sorted(maps.Keys(s.Prefixes)) {
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

// specText describes a spec: first the spec itself, then each attribute.
func specText(s spec.Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", printable(s.Name))
	if s.Revision != "" {
		fmt.Fprintf(&b, "  revision %s", printable(s.Revision))
	}
	b.WriteString("\n")
	row(&b, "about", s.Description)
	row(&b, "groups", strings.Join(specGroups(s), ", "))
	row(&b, "source", s.Source)
	for _, n := range s.Nodes {
		printNode(&b, n)
	}
	for _, f := range s.Families {
		fmt.Fprintf(&b, "\nfamily %s\n", printable(f.Name))
		row(&b, "members", pairs(f.Members, " from "))
		row(&b, "versions", f.Version)
	}
	return b.String()
}

func printNode(b *strings.Builder, n spec.Node) {
	fmt.Fprintf(b, "\n%s\n", printable(n.Name))
	row(b, "about", n.Description)
	row(b, "part of", n.Parent)
	row(b, "written as", strings.Join(n.Keys, ", "))
	if n.Type == "" {
		return // it only contains others
	}
	value := n.Type
	if len(n.Values) > 0 {
		value += ", one of " + strings.Join(n.Values, ", ")
	}
	row(b, "value", value)
	row(b, "compared with", comparedWith(n))
	row(b, "also written", pairs(n.Aliases, " for "))
	importance := cmp.Or(n.Importance, "required")
	if n.Weight > 0 {
		importance += fmt.Sprintf(", weight %d", n.Weight)
	}
	row(b, "importance", importance)
}

func comparedWith(n spec.Node) string {
	if n.Fact == "" {
		return "nothing"
	}
	text := n.Fact
	if n.Element != "" {
		text += " " + n.Element
	}
	if len(n.Items) > 0 {
		text += " by " + strings.Join(n.Items, " or ")
	}
	if n.Match != "" {
		text += ", " + n.Match
	}
	conditions := []string{text}
	for _, c := range n.Where {
		conditions = append(conditions, "where "+strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Element, c.Op, strings.Join(c.Values, " "))))
	}
	return strings.Join(conditions, ", ")
}

// pairs are the entries of a map, in order.
func pairs(m map[string]string, between string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		words = append(words, key+between+m[key])
	}
	return strings.Join(words, ", ")
}

func row(b *strings.Builder, name, text string) {
	if text != "" {
		fmt.Fprintf(b, "  %-14s%s\n", name, printable(text))
	}
}
