package facts

import (
	"iter"
	"strings"
)

// Kind is what the elements of a set are.
type Kind uint8

// The kinds of NFD.
const (
	Attributes Kind = iota // names with a value
	Flags                  // names
	Instances              // devices, each with attributes of its own
)

// Set declares a feature set. Lint, the documentation and the list of what NFD
// lacks derive from it.
type Set struct {
	Name string // a family, a dot, a name: "cpu.model"
	Kind Kind
	NFD  bool // NFD has it too
	// Elements lists the names of the elements, or of the attributes of an
	// instance, each with a note on its values in parentheses: "level (1 to 4),
	// name". A note that begins with "true" marks a switch. A name with a star
	// means that not all names can be listed.
	Elements string
	Note     string // what else users should know of the elements
	Origin   string // where the set is read, as Facts.Origin returns it
	From     string // the same in the documentation, if it differs
}

// Family returns the first part of the name, such as cpu for cpu.cpuid.
func (s Set) Family() string {
	family, _, _ := strings.Cut(s.Name, ".")
	return family
}

// All returns the names of the elements with their notes.
func (s Set) All() iter.Seq2[string, string] {
	return func(yield func(name, note string) bool) {
		for rest := s.Elements; rest != ""; {
			name, note := rest, ""
			end := strings.IndexAny(rest, "(,")
			switch {
			case end < 0:
				rest = ""
			case rest[end] == ',':
				name, rest = rest[:end], rest[end+1:]
			default:
				name = rest[:end]
				note, rest, _ = strings.Cut(rest[end+1:], ")")
				rest = strings.TrimPrefix(rest, ",")
			}
			rest = strings.TrimLeft(rest, " ")
			if !yield(strings.TrimSpace(name), note) {
				return
			}
		}
	}
}

// Names returns the names of all elements there can be; none if others than
// those listed are possible.
func (s Set) Names() []string {
	var names []string
	for name := range s.All() {
		if strings.Contains(name, "*") {
			return nil
		}
		names = append(names, name)
	}
	return names
}

// IsSwitch reports whether the value of an element is true, or false or absent.
func (s Set) IsSwitch(element string) bool {
	for name, note := range s.All() {
		if name == element {
			return strings.HasPrefix(note, "true")
		}
	}
	return false
}
