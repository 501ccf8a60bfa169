package compat

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/tomlerr"
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
	Type       string            `toml:"type"`       // flag, bool, string, version, option, target or device
	Part       int               `toml:"part"`       // of a version: 1 major, 2 minor, 3 revision
	Op         Op                `toml:"op"`         // of a device
	Values     []string          `toml:"values"`     // of a device; of a target: the names that can be decided
	Aliases    map[string]string `toml:"aliases"`    // of a target: other spellings
	Importance string            `toml:"importance"` // required, preferred or informative
	Weight     int               `toml:"weight"`     // of a preferred attribute
}

const (
	specVersion = 1
	maxWeight   = 1_000_000 // so that no sum of weights overflows
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
	err := tomlerr.Decode(text, &spec)
	if err != nil && !errors.Is(err, tomlerr.ErrUnknownKey) {
		return Spec{}, err
	}
	if spec.Version != specVersion { // a later shape has keys that are unknown here
		return Spec{}, fmt.Errorf("version is %d, this imagefit reads %d", spec.Version, specVersion)
	}
	if err != nil {
		return Spec{}, err
	}
	if spec.Name == "" || len(spec.Groups) == 0 {
		return Spec{}, errors.New("name and groups are needed")
	}
	for i, rule := range spec.Attributes {
		if err := rule.validate(); err != nil {
			return Spec{}, fmt.Errorf("attribute %d %q: %w", i+1, rule.Keys, err)
		}
	}
	return spec, nil
}

func (r Rule) validate() error {
	types := []string{"flag", "bool", "string", "version", "option", "target", "device"}
	importances := []string{"required", "preferred", "informative"}
	switch {
	case len(r.Keys) == 0 || r.Fact == "":
		return errors.New("keys and fact are needed")
	case !slices.Contains(types, r.Type):
		return fmt.Errorf("type %q is none of %s", r.Type, strings.Join(types, ", "))
	case r.Importance != "" && !slices.Contains(importances, r.Importance):
		return fmt.Errorf("importance %q is none of %s", r.Importance, strings.Join(importances, ", "))
	case r.Weight < 0 || r.Weight > maxWeight:
		return fmt.Errorf("weight is %d, not 0 to %d", r.Weight, maxWeight)
	case r.Element == "" && r.Type != "target":
		return errors.New("element is needed")
	case r.Part < 0 || r.Part > 3:
		return fmt.Errorf("part is %d, not 1 to 3", r.Part)
	case r.Part > 0 && r.Type != "version":
		return fmt.Errorf("type %q has no parts, only version has", r.Type)
	case r.Type == "target" && len(r.Values) == 0:
		return errors.New("a target needs values")
	}
	return errors.Join(r.validateKeys(), r.validateOp())
}

// validateKeys sees to it that every "*" of an element has one to stand for.
func (r Rule) validateKeys() error {
	for _, key := range r.Keys {
		prefix, isFamily := strings.CutSuffix(key, "*")
		if key == "" || strings.Contains(prefix, "*") {
			return fmt.Errorf("key %q: a * can stand only at the end of a key", key)
		}
		if strings.Contains(r.Element, "*") && !isFamily {
			return fmt.Errorf("key %q has no * for the one in element %q", key, r.Element)
		}
	}
	return nil
}

func (r Rule) validateOp() error {
	if r.Type != "device" {
		if r.Op != "" {
			return fmt.Errorf("type %q has no op, only device has", r.Type)
		}
		return nil
	}
	need := 0
	switch r.Op {
	case Exists, DoesNotExist, IsTrue, IsFalse:
	case In, NotIn:
		need = max(1, len(r.Values))
	case Gt, Ge, Lt, Le:
		need = 1
	default:
		return fmt.Errorf("op %q is not known", r.Op)
	}
	if len(r.Values) != need {
		return fmt.Errorf("op %s has %d values, not %d", r.Op, len(r.Values), need)
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
