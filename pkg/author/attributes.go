package author

import (
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// attribute is one of a dialect that speaks of attributes, with its place.
type attribute struct {
	compat.Attribute
	key, value *node
}

// name is the key of the requirement that the attribute becomes.
func (a *attribute) name() string { return a.Group + "/" + a.Key }

// attributesIn returns the attributes of a document: those of one scope must
// all hold. What is empty is handed to empty.
func attributesIn(dialect string, root *node, empty func(n *node, what string)) [][]attribute {
	list := root.field("compatibilities")
	switch dialect {
	case dialectOutline:
		return [][]attribute{outlineAttributes(list, empty)}
	case dialectGraph:
		var scopes [][]attribute
		for _, c := range root.field("spec").field("compatibilities").members() {
			scopes = append(scopes, attributesOf(c.field("domain").text(), c.field("attributes"), empty))
		}
		return scopes
	case dialectCompspec:
		if list == nil {
			return [][]attribute{attributesOf("llnl.compatlib", root.field("attributes"), empty)}
		}
		var all []attribute
		for _, entry := range list.members() {
			for _, key := range []string{"attributes", "annotations"} {
				all = append(all, attributesOf(entry.field("name").text(), entry.field(key), empty)...)
			}
		}
		return [][]attribute{all}
	default:
		var scopes [][]attribute
		for _, set := range list.members() {
			scopes = append(scopes, flatAttributes(set, empty))
		}
		return scopes
	}
}

func outlineAttributes(groups *node, empty func(n *node, what string)) []attribute {
	if groups != nil && groups.kind == mapping && len(groups.keys) == 0 {
		empty(groups, "compatibilities")
	}
	var all []attribute
	for i, group := range groups.keysOf() {
		all = append(all, attributesOf(group.value, groups.values[i], empty)...)
	}
	return all
}

func attributesOf(group string, n *node, empty func(n *node, what string)) []attribute {
	if n != nil && n.kind == mapping && len(n.keys) == 0 {
		empty(n, "the group "+quoted(group))
	}
	var all []attribute
	for i, key := range n.keysOf() {
		if value := n.values[i]; value.kind == scalar && !value.isNull() {
			all = append(all, attribute{attributeOf(group, key.value, value), key, value})
		}
	}
	return all
}

func attributeOf(group, key string, value *node) compat.Attribute {
	a := compat.Attribute{Group: group, Key: key, Value: value.value}
	switch value.tag {
	case "bool":
		a.Kind = compat.Bool
	case "int", "float":
		a.Kind = compat.Number
	}
	return a
}

// flatAttributes are those of a set of Proposals H and J, whose keys carry
// their group.
func flatAttributes(set *node, empty func(n *node, what string)) []attribute {
	var all []attribute
	for _, a := range attributesOf("", set, empty) {
		switch a.Key {
		case "oci.compatibility-score", "compatibility-score", "description", "oci.description", "tag", "tags":
			continue
		}
		parts := strings.Split(a.Key, ".")
		a.Group = parts[0]
		switch a.Group {
		case "org", "io", "com", "llnl":
			if len(parts) > 2 {
				a.Group += "." + parts[1]
			}
		}
		all = append(all, a)
	}
	return all
}
