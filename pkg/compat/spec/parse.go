package spec

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/tomlerr"
	"github.com/imagefit/imagefit/pkg/version"
)

const (
	specVersion = 1
	maxNodes    = 2_000
)

// Parse reads one compatibility spec and validates it: TOML, or a schema of
// Proposal D in the JSON Graph Format. An error says the row.
func Parse(text []byte) (Spec, error) {
	parse := specOfTOML
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		parse = specOfGraph
	}
	spec, rows, err := parse(text)
	if err == nil {
		err = spec.validate(rows)
	}
	if err != nil {
		return Spec{}, err
	}
	return spec, nil
}

func specOfTOML(text []byte) (Spec, rows, error) {
	var spec Spec
	err := tomlerr.Decode(text, &spec)
	if err != nil && !errors.Is(err, tomlerr.ErrUnknownKey) {
		return Spec{}, nil, err
	}
	if spec.Version != specVersion { // a later shape has keys that are unknown here
		return Spec{}, nil, fmt.Errorf("version is %d, this imagefit reads %d", spec.Version, specVersion)
	}
	return spec, tableRows(text), err
}

// Marshal writes a spec as Parse reads it. As a method it would bring the encoder
// into the daemons, which only read specs.
func Marshal(s *Spec) ([]byte, error) { return toml.Marshal(s) }

func (s *Spec) validate(rows rows) error {
	if s.Name == "" || len(s.Groups)+len(s.Prefixes) == 0 {
		return errors.New("name and groups are needed")
	}
	if len(s.Nodes) > maxNodes {
		return fmt.Errorf("more than %d nodes", maxNodes)
	}
	for i := range s.Nodes {
		if err := s.validateNode(i); err != nil {
			return fmt.Errorf("row %d, node %q: %w", rows.of("node", i), s.Nodes[i].Name, err)
		}
	}
	for i, f := range s.Families {
		if err := f.validate(); err != nil {
			return fmt.Errorf("row %d, family %q: %w", rows.of("family", i), f.Name, err)
		}
	}
	return nil
}

func (s *Spec) validateNode(i int) error {
	n := &s.Nodes[i]
	if n.Name == "" {
		return errors.New("name is needed")
	}
	if first := s.node(n.Name); first != n {
		return errors.New("another node has this name")
	}
	if err := s.validateParent(n); err != nil {
		return err
	}
	if !n.isGroup() {
		return cmp.Or(n.validateKeys(), n.validateFact(), n.validateMatch(), n.validateWeight())
	}
	if n.Match != "" || n.Element != "" || n.Importance != "" || n.Weight != 0 || n.Join != "" || len(n.Where) > 0 {
		return errors.New("type is needed")
	}
	return nil
}

// isGroup tells a node that only contains others from one that is an
// attribute.
func (n *Node) isGroup() bool { return n.Type == "" && n.Fact == "" && len(n.Keys) == 0 }

// validateParent follows the edges up: they end at a node without a parent.
func (s *Spec) validateParent(n *Node) error {
	for at, steps := n, 0; at.Parent != ""; steps++ {
		if steps > len(s.Nodes) {
			return fmt.Errorf("parent %q: the node contains itself", n.Parent)
		}
		next := s.node(at.Parent)
		if next == nil {
			return fmt.Errorf("parent %q is not a node", at.Parent)
		}
		at = next
	}
	return nil
}

// validateKeys refuses an element with a "*" that no "*" of a key gives a value.
func (n *Node) validateKeys() error {
	star := strings.Contains(n.Element, "*")
	for _, key := range n.Spellings() {
		stars := strings.Count(key, "*")
		if key == "" || stars > 1 {
			return fmt.Errorf("key %q: a key has some text and at most one *", key)
		}
		if star && stars == 0 && n.Type != "list" {
			return fmt.Errorf("key %q has no * for the one in element %q", key, n.Element)
		}
		if len(n.Items) > 0 && stars == 0 && n.Type == "bool" {
			return fmt.Errorf("key %q has no * that names an item", key)
		}
	}
	return nil
}

func (n *Node) validateFact() error {
	switch {
	case n.Fact == "" && n.importance() != compat.Informative:
		return errors.New("fact is needed; only what is informative can do without")
	case n.Fact == "" && (n.Element != "" || len(n.Where) > 0 || len(n.Items) > 0):
		return errors.New("fact is needed for an element")
	case n.Fact != "" && n.Element == "" && len(n.Where) == 0 && len(n.Items) == 0 && n.Match != matchDescends && n.Match != matchABI:
		return errors.New("element is needed")
	case len(n.Items) > 0 && n.Type != "list" && n.Type != "bool":
		return errors.New("only a list or a bool has items")
	case n.IfAbsent != "" && n.Match != matchABI:
		return errors.New("only match abi has if_absent")
	case n.IfAbsent != "" && n.IfAbsent != "fits":
		return fmt.Errorf("if_absent %q is not fits", n.IfAbsent)
	}
	for _, c := range n.Where {
		if err := c.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) validateMatch() error {
	known, ok := map[string][]string{
		"bool":    {matchEqual, matchExists, matchOption, matchCUDA, matchROCm},
		"int":     {matchEqual, matchAtLeast, matchAtMost, matchRange},
		"version": {matchEqual, matchAtLeast, matchAtMost, matchRange, matchABI, matchCUDA, matchROCm},
		"string":  {matchEqual, matchOption, matchDescends, matchABI, matchRelease},
		"list":    {matchSubset},
	}[n.Type]
	roles := []string{""} // of most matches the attributes play none
	switch n.Match {
	case matchABI:
		roles = []string{"implementation", "version"}
	case matchRelease:
		roles = []string{"vendor", "release"}
	}
	switch {
	case !ok:
		return fmt.Errorf("type %q is not one of bool, int, version, string, list", n.Type)
	case n.Match == "" && n.Fact == "":
		return nil
	case !slices.Contains(known, n.Match):
		return fmt.Errorf("match %q is not one of %s, which type %s has", n.Match, strings.Join(known, ", "), n.Type)
	case n.Part < 0 || n.Part > 3:
		return fmt.Errorf("part is %d, not 1 to 3", n.Part)
	case n.Part > 0 && (n.Type != "version" || n.Match != matchAtLeast || n.Join == ""):
		return errors.New("a part is that of a version with match at-least and a join")
	case !slices.Contains(roles, n.Role):
		return fmt.Errorf("role %q is not one of %s, which match %s has", n.Role, strings.Join(roles, ", "), n.Match)
	case n.Role != "" && n.Join == "":
		return errors.New("a role needs a join")
	case n.Fold != "" && n.Fold != "lower" && n.Fold != "upper":
		return fmt.Errorf("fold %q is not one of lower, upper", n.Fold)
	case n.Join != "" && n.Part == 0 && (n.Type == "list" || n.Match == matchRange):
		return fmt.Errorf("a %s with match %s cannot be joined", n.Type, n.Match)
	case n.IfFalse != "" && n.IfFalse != "absent" && n.IfFalse != "nothing":
		return fmt.Errorf("if_false %q is not one of absent, nothing", n.IfFalse)
	case n.IfFalse != "" && n.Type != "bool":
		return errors.New("only a bool has if_false")
	}
	for from, to := range n.Aliases {
		if len(n.Values) > 0 && !slices.Contains(n.Values, to) {
			return fmt.Errorf("alias %q leads to %q, which is not one of the values", from, to)
		}
	}
	return nil
}

func (n *Node) validateWeight() error {
	importances := []string{"", "required", "preferred", "informative"}
	switch {
	case !slices.Contains(importances, n.Importance):
		return fmt.Errorf("importance %q is not one of %s", n.Importance, strings.Join(importances[1:], ", "))
	case n.Weight < 0 || n.Weight > compat.MaxWeight:
		return fmt.Errorf("weight is %d, not 0 to %d", n.Weight, compat.MaxWeight)
	case n.Weight > 0 && n.Importance != "preferred":
		return errors.New("only what is preferred has a weight")
	default:
		return nil
	}
}

func (c Condition) validate() error {
	known := []compat.Op{
		compat.Exists, compat.DoesNotExist, compat.IsTrue, compat.IsFalse, compat.In, compat.NotIn,
		compat.Gt, compat.Ge, compat.Lt, compat.Le,
	}
	need := c.Op.Values()
	if need < 0 {
		need = max(1, len(c.Values))
	}
	switch {
	case !slices.Contains(known, c.Op):
		return fmt.Errorf("op %q is not known", c.Op)
	case c.Element == "":
		return errors.New("a condition needs an element")
	case len(c.Values) != need:
		return fmt.Errorf("op %s has %d values, not %d", c.Op, len(c.Values), need)
	default:
		return nil
	}
}

func (f Family) validate() error {
	if f.Name == "" || len(f.Members) == 0 {
		return errors.New("name and members are needed")
	}
	for name, from := range f.Members {
		if _, ok := version.Parse(from); !ok {
			return fmt.Errorf("member %q begins at %q, which is not a version", name, from)
		}
	}
	if f.Version != "any" && f.Version != "minor" {
		return fmt.Errorf("version %q is not one of any, minor", f.Version)
	}
	return nil
}
