package document

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
)

// Kind is the kind of a value in a document.
type Kind uint8

// The kinds of values.
const (
	Scalar Kind = iota
	List
	Mapping
)

// Node is a value in a document together with where it is written. The methods
// that look something up may be called on nil, which is a value that is missing.
type Node struct {
	Kind   Kind
	Tag    string  // of a scalar: str, int, float, bool, null or timestamp
	Value  string  // of a scalar
	Keys   []*Node // of a mapping, in the order of the document
	Values []*Node // of a mapping or a list

	Row, Column int // where the value begins, both from 1, columns in bytes
	Start       int // the same as an offset, with quotes
	// At and Length delimit the text of a scalar, without quotes. Length is -1
	// where the text is not written as it reads, so that it cannot be edited.
	At, Length int
}

// Field returns the value of a key of a mapping, or nil. What is written as null
// is as good as missing.
func (n *Node) Field(name string) *Node {
	if value := n.Lookup(name); !value.IsNull() {
		return value
	}
	return nil
}

// Lookup returns the value of a key of a mapping, a null included, or nil.
func (n *Node) Lookup(name string) *Node {
	for key, value := range n.Pairs {
		if key.Value == name {
			return value
		}
	}
	return nil
}

// Key returns the key itself, or nil.
func (n *Node) Key(name string) *Node {
	for key := range n.Pairs {
		if key.Value == name {
			return key
		}
	}
	return nil
}

// Pairs yields each key of a mapping with its value, nulls included.
func (n *Node) Pairs(yield func(key, value *Node) bool) {
	if n == nil {
		return
	}
	for i, key := range n.Keys {
		if !yield(key, n.Values[i]) {
			return
		}
	}
}

// Members are the members of a list; anything else has none.
func (n *Node) Members() []*Node {
	if n == nil || n.Kind != List {
		return nil
	}
	return n.Values
}

// Text is the value of a scalar, and empty for anything else.
func (n *Node) Text() string {
	if n.IsNull() || n.Kind != Scalar {
		return ""
	}
	return n.Value
}

// Texts are the members of a list, or the one scalar in place of a list.
func (n *Node) Texts() []*Node {
	if !n.IsNull() && n.Kind == Scalar {
		return []*Node{n}
	}
	return n.Members()
}

// IsNull reports whether the value is missing or written as null.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Scalar && n.Tag == "null" }

// IsEmpty reports whether the value is a mapping or a list without members.
func (n *Node) IsEmpty() bool { return n != nil && n.Kind != Scalar && len(n.Values) == 0 }

// Each calls field with every key of a mapping and its value. What is written as
// null is left out, as if the key were missing.
func (n *Node) Each(what string, field func(key, value *Node) error) error {
	if err := n.AsMapping(what); err != nil {
		return err
	}
	for key, value := range n.Pairs {
		if value.IsNull() {
			continue
		}
		if err := field(key, value); err != nil {
			return err
		}
	}
	return nil
}

// AsMapping refuses anything but a mapping; a value may be missing.
func (n *Node) AsMapping(what string) error {
	if n != nil && n.Kind != Mapping {
		return n.Errorf("expected %s to be an object, found %s", what, n.Describe())
	}
	return nil
}

// OnlyKeys refuses a value that is not a mapping, or that has other keys than
// the known ones.
func (n *Node) OnlyKeys(what string, known ...string) error {
	return n.Each(what, func(key, _ *Node) error {
		if !slices.Contains(known, key.Value) {
			return key.UnknownKey(what, known...)
		}
		return nil
	})
}

// NeedKeys refuses a mapping that lacks one of the keys.
func (n *Node) NeedKeys(names ...string) error {
	for _, name := range names {
		if n.Field(name) == nil {
			return n.Errorf("key %s is missing", textutil.Quote(name))
		}
	}
	return nil
}

// TextKeys refuses a mapping in which one of the keys has a mapping or a list.
func (n *Node) TextKeys(names ...string) error {
	for _, name := range names {
		if value := n.Field(name); value != nil {
			if _, err := value.AsText(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// AsList returns the members of a list.
func (n *Node) AsList(what string) ([]*Node, error) {
	if n.Kind != List {
		return nil, n.Errorf("expected %s to be a list, found %s", what, n.Describe())
	}
	return n.Values, nil
}

// AsText returns a string, number or bool as it is written.
func (n *Node) AsText(what string) (string, error) {
	if n.Kind != Scalar || n.IsNull() {
		return "", n.Errorf("expected %s to be a string, found %s", what, n.Describe())
	}
	return n.Value, nil
}

// AsNumber returns a whole number from -limit to limit.
func (n *Node) AsNumber(what string, limit int) (int, error) {
	number, err := strconv.Atoi(n.Value)
	if n.Kind != Scalar || err != nil {
		return 0, n.Errorf("expected %s to be a whole number, found %s", what, n.Describe())
	}
	if number < -limit || number > limit {
		return 0, n.Errorf("%s is %d, not -%d to %d", what, number, limit, limit)
	}
	return number, nil
}

// Describe is the value in a few words, for errors.
func (n *Node) Describe() string {
	switch {
	case n.Kind == Mapping:
		return "an object"
	case n.Kind == List:
		return "a list"
	case n.IsNull():
		return "null"
	case n.Tag != "str":
		return textutil.Short(n.Value)
	default:
		return textutil.Quote(n.Value)
	}
}

// Same reports whether two trees have the same values, but for the scalars that
// differs allows to differ.
func Same(a, b *Node, differs func(a, b *Node) bool) bool {
	if a.Kind != b.Kind || len(a.Keys) != len(b.Keys) || len(a.Values) != len(b.Values) {
		return false
	}
	if a.Kind == Scalar {
		return a.Tag == b.Tag && a.Value == b.Value || differs(a, b)
	}
	for i := range a.Keys {
		if !Same(a.Keys[i], b.Keys[i], differs) {
			return false
		}
	}
	for i := range a.Values {
		if !Same(a.Values[i], b.Values[i], differs) {
			return false
		}
	}
	return true
}

// Error is a mistake in a document and where it is. Row and Column are zero
// where they are not known.
type Error struct {
	Row, Column int
	Err         error
}

// Error says where, then what.
func (e *Error) Error() string {
	switch {
	case e.Row == 0:
		return e.Err.Error()
	case e.Column == 0:
		return fmt.Sprintf("row %d: %v", e.Row, e.Err)
	default:
		return fmt.Sprintf("row %d, column %d: %v", e.Row, e.Column, e.Err)
	}
}

// Unwrap returns the error without the place.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error about the value, with its place.
func (n *Node) Errorf(format string, args ...any) error {
	return &Error{n.Row, n.Column, fmt.Errorf(format, args...)}
}

// UnknownKey returns the error about a key that its mapping does not have.
func (n *Node) UnknownKey(of string, known ...string) error {
	return n.Errorf("%s has no key %s, only %s", of, textutil.Quote(n.Value), strings.Join(known, ", "))
}
