package compat

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Spec is one compatibility spec: what the attributes of one compatibility
// interest group mean. Files of this shape are embedded; their version is the
// version of the shape.
type Spec struct {
	Version     int      `toml:"version"`
	Name        string   `toml:"name"`
	Description string   `toml:"description"`
	Groups      []string `toml:"groups"` // groups it speaks for; "*" is any
	Strip       []string `toml:"strip"`  // prefixes a key may carry
	Attributes  []Rule   `toml:"attribute"`
}

// Rule says what one attribute, or a family of attributes, means.
type Rule struct {
	Keys       []string          `toml:"keys"`       // a last "*" stands for the rest of the key
	Fact       string            `toml:"fact"`       // the feature set it is held against
	Element    string            `toml:"element"`    // "*" is what the key's "*" stood for
	Type       string            `toml:"type"`       // one of ruleTypes
	Part       int               `toml:"part"`       // of a version: 1 major, 2 minor, 3 revision
	Op         Op                `toml:"op"`         // of a device
	Values     []string          `toml:"values"`     // of a device; of a target: the names that can be decided
	Aliases    map[string]string `toml:"aliases"`    // of a target: other spellings
	Importance string            `toml:"importance"` // required, preferred or informative
	Weight     int               `toml:"weight"`     // of a preferred attribute
}

const specVersion = 1

var (
	ruleTypes   = []string{"flag", "bool", "string", "version", "option", "target", "device"}
	importances = []string{"", "required", "preferred", "informative"}
)

//go:embed specs/*.toml
var embedded embed.FS

// EmbeddedSpecs returns the compatibility specs that come with imagefit.
func EmbeddedSpecs() ([]Spec, error) {
	files, err := fs.Glob(embedded, "specs/*.toml")
	if err != nil {
		return nil, err
	}
	var specs []Spec
	for _, file := range files {
		text, err := embedded.ReadFile(file)
		if err != nil {
			return nil, err
		}
		spec, err := ParseSpec(text)
		if err != nil {
			return nil, fmt.Errorf("read compatibility spec %s: %w", file, err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// ParseSpec reads one compatibility spec and validates it.
func ParseSpec(text []byte) (Spec, error) {
	var spec Spec
	dec := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields()
	if err := dec.Decode(&spec); err != nil {
		return Spec{}, err
	}
	if spec.Version != specVersion {
		return Spec{}, fmt.Errorf("version is %d, this imagefit reads %d", spec.Version, specVersion)
	}
	if spec.Name == "" || len(spec.Groups) == 0 {
		return Spec{}, errors.New("name and groups are needed")
	}
	for _, rule := range spec.Attributes {
		if err := rule.validate(); err != nil {
			return Spec{}, fmt.Errorf("attribute %q: %w", rule.Keys, err)
		}
	}
	return spec, nil
}

func (r Rule) validate() error {
	switch {
	case len(r.Keys) == 0 || r.Fact == "":
		return errors.New("keys and fact are needed")
	case !slices.Contains(ruleTypes, r.Type):
		return fmt.Errorf("type %q is none of %s", r.Type, strings.Join(ruleTypes, ", "))
	case !slices.Contains(importances, r.Importance):
		return fmt.Errorf("importance %q is none of%s", r.Importance, strings.Join(importances, " "))
	case r.Element == "" && r.Type != "target":
		return errors.New("element is needed")
	case r.Part < 0 || r.Part > 3:
		return fmt.Errorf("part is %d, not 1 to 3", r.Part)
	}
	return nil
}

func (r Rule) importance() Importance {
	switch r.Importance {
	case "preferred":
		return Preferred
	case "informative":
		return Informative
	default:
		return Required
	}
}

// find returns the first rule that speaks of the attribute, and what the "*"
// of its key stands for.
func (s Spec) find(a Attribute) (Rule, string, bool) {
	if !slices.Contains(s.Groups, "*") && !slices.Contains(s.Groups, a.Group) {
		return Rule{}, "", false
	}
	key := a.Key
	for _, prefix := range s.Strip {
		key = strings.TrimPrefix(key, prefix)
	}
	for _, rule := range s.Attributes {
		for _, pattern := range rule.Keys {
			if rest, ok := matchKey(pattern, key); ok {
				return rule, rest, true
			}
		}
	}
	return Rule{}, "", false
}

func matchKey(pattern, key string) (rest string, ok bool) {
	prefix, isFamily := strings.CutSuffix(pattern, "*")
	if !isFamily {
		return "", pattern == key
	}
	rest, ok = strings.CutPrefix(key, prefix)
	return rest, ok && rest != ""
}
