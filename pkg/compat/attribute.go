package compat

// Attribute is one "group, key, scalar". Kind tells how the value was written,
// since "true" and true may be meant differently.
type Attribute struct {
	Group, Key, Value string
	Kind              Kind
}

// Kind is the type of an attribute's value.
type Kind uint8

// The scalar types of attributes.
const (
	String Kind = iota
	Bool
	Number
)

// Name is the key of the requirement that the attribute becomes.
func (a Attribute) Name() string { return a.Group + "/" + a.Key }
