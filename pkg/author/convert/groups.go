package convert

import (
	"bytes"
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

// outline is Proposal F. A number or a bool is written as such, if it is one to
// JSON, too.
func (g *groups) outline() []byte {
	members := make([]string, 0, len(g.names))
	for _, name := range g.names {
		members = append(members, jsonText(name)+":"+g.object(name, func(a compat.Attribute) string {
			if a.Kind != compat.String && json.Valid([]byte(a.Value)) {
				return a.Value
			}
			return jsonText(a.Value)
		}))
	}
	return indented(`{"compatibilities":{` + strings.Join(members, ",") + `}}`)
}

// compspec is the CompatibilitySpec of compspec, whose values are strings.
func (g *groups) compspec() []byte {
	entries := make([]string, 0, len(g.names))
	for _, name := range g.names {
		attributes := g.object(name, func(a compat.Attribute) string { return jsonText(a.Value) })
		entries = append(entries, `{"name":`+jsonText(name)+`,"version":"0.0.0","attributes":`+attributes+`}`)
	}
	return indented(`{"version":"0.0.0","kind":"CompatibilitySpec","metadata":{"name":"imagefit"},` +
		`"compatibilities":[` + strings.Join(entries, ",") + `]}`)
}

// object has the attributes of a group in their order.
func (g *groups) object(name string, value func(compat.Attribute) string) string {
	members := make([]string, 0, len(g.attributes[name]))
	for _, a := range g.attributes[name] {
		members = append(members, jsonText(a.Key)+":"+value(a))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func indented(text string) []byte {
	var b bytes.Buffer
	_ = json.Indent(&b, []byte(text), "", "  ") // who reads it again finds what is wrong
	return append(b.Bytes(), '\n')
}

func jsonText(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // no string is an error
	return strings.TrimSuffix(b.String(), "\n")
}
