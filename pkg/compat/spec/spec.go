package spec

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/compat"
)

// Spec is one compatibility spec: what the attributes of one compatibility
// interest group mean. It is Proposal D's graph: a node is an attribute or a
// family of attributes, and an edge says that one node contains another.
type Spec struct {
	Version     int    `toml:"version,omitempty"`     // of the shape of the file
	Name        string `toml:"name,omitempty"`        // of several specs of one name only one applies
	Revision    string `toml:"revision,omitempty"`    // of what the spec says, for people
	Description string `toml:"description,omitempty"` // in a sentence
	// Groups are the groups of attributes that the spec speaks for; "*" is any.
	Groups []string `toml:"groups,omitempty"`
	// Prefixes are further groups, whose keys are read with a prefix in front:
	// with mpi = "mpi." the key "version" of the group "mpi" is "mpi.version".
	Prefixes map[string]string `toml:"prefixes,omitempty"`
	Strip    []string          `toml:"strip,omitempty"` // prefixes that a key may carry
	Nodes    []Node            `toml:"node,omitempty"`
	Families []Family          `toml:"family,omitempty"` // for the match "abi"
	// Releases say which C library an operating system has, by "vendor version",
	// for the match "release".
	Releases map[string]string `toml:"releases,omitempty"`

	// Source is the file that the spec was read from.
	Source string `toml:"-"`
}

// Node says what one attribute, or a family of attributes, means.
type Node struct {
	Name        string   `toml:"name,omitempty"`        // in the graph
	Parent      string   `toml:"parent,omitempty"`      // the node that contains this one
	Description string   `toml:"description,omitempty"` // what it is, for people
	Keys        []string `toml:"keys,omitempty"`        // spellings; without any it is the name; one "*" matches any text

	Fact    string      `toml:"fact,omitempty"`    // the feature set it is compared with
	Element string      `toml:"element,omitempty"` // of the set; "*" is what the key's "*" matched
	Where   []Condition `toml:"where,omitempty"`   // what must hold besides, on the same instance
	Items   []string    `toml:"items,omitempty"`   // forms of what names a device, such as "vendor.device" or "class_vendor"

	Type     string            `toml:"type,omitempty"`      // of the value: bool, int, version, string or list
	Match    string            `toml:"match,omitempty"`     // how it is compared with the fact
	Aliases  map[string]string `toml:"aliases,omitempty"`   // other spellings of values, in any case
	Values   []string          `toml:"values,omitempty"`    // the values that make sense; without any all do
	Trim     string            `toml:"trim,omitempty"`      // what a value may begin with, and means nothing
	Fold     string            `toml:"fold,omitempty"`      // lower or upper: the case that facts have
	IfFalse  string            `toml:"if_false,omitempty"`  // of a bool: "absent" (the default) or "nothing" is asked for
	IfAbsent string            `toml:"if_absent,omitempty"` // of the match "abi": "fits" where the node is known to have none
	Join     string            `toml:"join,omitempty"`      // nodes of one join make one requirement
	Part     int               `toml:"part,omitempty"`      // of a joined version: 1 major, 2 minor, 3 revision
	Role     string            `toml:"role,omitempty"`      // of the match "abi": implementation or version; of "release": vendor or release

	Importance string `toml:"importance,omitempty"` // required (the default), preferred or informative
	Weight     int    `toml:"weight,omitempty"`     // of a preferred attribute
}

// Condition is a term that a spec states itself. In its values "*" is what the
// key's "*", or the item of a list, matched.
type Condition struct {
	Element string    `toml:"element,omitempty"`
	Op      compat.Op `toml:"op,omitempty"`
	Values  []string  `toml:"values,omitempty"`
}

// Family is a set of libraries that can replace each other.
type Family struct {
	Name string `toml:"name,omitempty"`
	// Members are the implementations, each with its first version that has the
	// common binary interface.
	Members map[string]string `toml:"members,omitempty"`
	// Version says how the versions of one implementation must agree: "any", or
	// "minor" where the major is the same and the node's minor not older.
	Version string `toml:"version,omitempty"`
}

// The matches of a node.
const (
	matchEqual    = "equal"         // the same; of a bool true or false
	matchExists   = "exists"        // a flag, a device, an element
	matchAtLeast  = "at-least"      // that or more
	matchAtMost   = "at-most"       // that or less
	matchRange    = "range"         // intervals
	matchSubset   = "subset"        // the node has all that is listed
	matchOption   = "option"        // a kernel option
	matchDescends = "descends-from" // a CPU target, by ancestry
	matchRelease  = "release"       // an operating system, by its C library
	matchABI      = "abi"           // a library, by its family
	matchCUDA     = "cuda"          // a version of CUDA, by the driver
	matchROCm     = "rocm"          // a version of ROCm, by the driver
)

// IsGeneral reports whether the spec speaks for any group.
func (s *Spec) IsGeneral() bool { return slices.Contains(s.Groups, "*") }

func (n *Node) importance() compat.Importance {
	switch n.Importance {
	case "preferred":
		return compat.Preferred
	case "informative":
		return compat.Informative
	default:
		return compat.Required
	}
}

// Spellings are the keys of the attributes that the node defines; a group of
// nodes has none.
func (n *Node) Spellings() []string {
	if len(n.Keys) == 0 && !n.isGroup() {
		return []string{n.Name}
	}
	return n.Keys
}

// find returns the first node that speaks of the attribute, and what the "*"
// of its key matched.
func (s *Spec) find(a compat.Attribute) (*Node, string, bool) {
	prefix, ok := s.Prefixes[a.Group]
	if !ok && !s.IsGeneral() && !slices.Contains(s.Groups, a.Group) {
		return nil, "", false
	}
	key := a.Key
	for _, strip := range s.Strip {
		key = strings.TrimPrefix(key, strip)
	}
	for i := range s.Nodes {
		for _, pattern := range s.Nodes[i].Spellings() {
			for _, written := range []string{prefix + key, key} {
				if rest, ok := matchKey(pattern, written); ok {
					return &s.Nodes[i], rest, true
				}
			}
		}
	}
	return nil, "", false
}

// matchKey returns what the "*" of a pattern matched.
func matchKey(pattern, key string) (rest string, ok bool) {
	prefix, suffix, isFamily := strings.Cut(pattern, "*")
	if !isFamily {
		return "", pattern == key
	}
	rest, ok = strings.CutPrefix(key, prefix)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	return rest, ok && rest != ""
}

// node returns the node of a name.
func (s *Spec) node(name string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	return nil
}
