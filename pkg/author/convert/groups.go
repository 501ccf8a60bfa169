package convert

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// groups are attributes by their group, in the order in which they came.
type groups struct {
	names      []string
	attributes map[string][]compat.Attribute
}

// add reports false for a key that its group has already, with another value.
func (g *groups) add(a compat.Attribute) bool {
	if g.attributes == nil {
		g.attributes = map[string][]compat.Attribute{}
	}
	known, ok := g.attributes[a.Group]
	if !ok {
		g.names = append(g.names, a.Group)
	}
	if i := slices.IndexFunc(known, func(b compat.Attribute) bool { return a.Key == b.Key }); i >= 0 {
		return known[i].Value == a.Value
	}
	g.attributes[a.Group] = append(known, a)
	return true
}

// outline is Proposal F.
func (g *groups) outline() []byte {
	var b strings.Builder
	b.WriteString("{\n  \"compatibilities\": {")
	for i, name := range g.names {
		comma(&b, i, "\n    ")
		b.WriteString(jsonText(name) + ": {")
		for j, a := range g.attributes[name] {
			comma(&b, j, "\n      ")
			b.WriteString(jsonText(a.Key) + ": " + jsonValue(a))
		}
		b.WriteString("\n    }")
	}
	b.WriteString("\n  }\n}\n")
	return []byte(b.String())
}

// compspec is the CompatibilitySpec of compspec, whose values are strings.
func (g *groups) compspec() []byte {
	var b strings.Builder
	b.WriteString("{\n  \"version\": \"0.0.0\",\n  \"kind\": \"CompatibilitySpec\",\n  \"metadata\": {\"name\": \"imagefit\"},\n  \"compatibilities\": [")
	for i, name := range g.names {
		comma(&b, i, "\n    ")
		b.WriteString("{\n      \"name\": " + jsonText(name) + ",\n      \"version\": \"0.0.0\",\n      \"attributes\": {")
		for j, a := range g.attributes[name] {
			comma(&b, j, "\n        ")
			b.WriteString(jsonText(a.Key) + ": " + jsonText(a.Value))
		}
		b.WriteString("\n      }\n    }")
	}
	b.WriteString("\n  ]\n}\n")
	return []byte(b.String())
}

func comma(b *strings.Builder, i int, indent string) {
	if i > 0 {
		b.WriteString(",")
	}
	b.WriteString(indent)
}

func jsonText(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return `""` // no string is an error
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// jsonValue writes a number or a bool as such, if it is one to JSON, too.
func jsonValue(a compat.Attribute) string {
	if a.Kind != compat.String && json.Valid([]byte(a.Value)) {
		return a.Value
	}
	return jsonText(a.Value)
}
