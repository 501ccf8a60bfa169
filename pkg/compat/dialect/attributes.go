package dialect

import (
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// maxAttributes bounds how many attributes one body may have.
const maxAttributes = 10_000

// Scope has the attributes of a document that must all hold together.
type Scope struct {
	Groups []Group
	// Conditional says that another part of the document decides whether the
	// scope applies.
	Conditional bool
}

// Group has the attributes of one group.
type Group struct {
	Name       string
	Node       *document.Node
	Attributes []Located
}

// Located is an attribute together with where it is written.
type Located struct {
	compat.Attribute
	KeyAt, ValueAt *document.Node
}

// All returns the attributes of all groups.
func (s Scope) All() []Located {
	var all []Located
	for _, g := range s.Groups {
		all = append(all, g.Attributes...)
	}
	return all
}

// Plain returns the attributes of all groups without their places.
func (s Scope) Plain() []compat.Attribute {
	var all []compat.Attribute
	for _, g := range s.Groups {
		all = append(all, g.plain()...)
	}
	return all
}

func (g Group) plain() []compat.Attribute {
	all := make([]compat.Attribute, len(g.Attributes))
	for i, a := range g.Attributes {
		all[i] = a.Attribute
	}
	return all
}

// groupOf reads a mapping of scalars; anything else in it is left out.
func groupOf(name string, n *document.Node) Group {
	g := Group{Name: name, Node: n}
	kinds := map[string]compat.Kind{"bool": compat.Bool, "int": compat.Number, "float": compat.Number}
	for key, value := range n.Pairs {
		if value.Kind == document.Scalar && !value.IsNull() {
			a := compat.Attribute{Group: name, Key: key.Value, Value: value.Value, Kind: kinds[value.Tag]}
			g.Attributes = append(g.Attributes, Located{a, key, value})
		}
	}
	return g
}

// check refuses what groupOf leaves out.
func (g Group) check() error {
	return g.Node.Each("the attributes of "+textutil.Quote(g.Name), func(key, value *document.Node) error {
		_, err := value.AsText("the attribute " + textutil.Quote(key.Value))
		return err
	})
}

// requirementsOf returns what the attributes of a scope ask for.
func requirementsOf(in *spec.Interpreter, s Scope) ([]compat.Requirement, error) {
	all := s.All()
	if len(all) > maxAttributes {
		return nil, all[maxAttributes].ValueAt.Errorf("more than %d attributes", maxAttributes)
	}
	return in.Requirements(s.Plain()), nil
}
