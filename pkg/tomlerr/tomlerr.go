package tomlerr

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ParseError is one mistake in a TOML text. What is not known is zero.
type ParseError struct {
	Row     int    `json:"row,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Unknown bool   `json:"-"` // the key is not known, and the message names it
	Syntax  bool   `json:"-"` // not valid TOML: what follows is not read
}

// Error returns the position, then the message.
func (p ParseError) Error() string {
	var where []string
	if p.Row > 0 {
		where = append(where, fmt.Sprintf("row %d", p.Row))
	}
	if p.Column > 0 {
		where = append(where, fmt.Sprintf("column %d", p.Column))
	}
	if p.Key != "" && !p.Unknown {
		where = append(where, "key "+p.Key)
	}
	if len(where) == 0 {
		return p.Message
	}
	return strings.Join(where, ", ") + ": " + p.Message
}

// Is makes problems with unknown keys match ErrUnknownKey.
func (p ParseError) Is(target error) bool { return p.Unknown && target == ErrUnknownKey }

// ErrUnknownKey is matched by errors about unknown keys.
var ErrUnknownKey = errors.New("unknown key")

// mostUnknown bounds how many unknown keys are reported one by one.
const mostUnknown = 20

// mostWrong bounds how many values are reported one by one.
const mostWrong = 20

// Decode reads text into the struct that into points to. A key that the struct
// does not have is an error; keys are named as in the toml tags. All mistakes are
// returned, up to the first that is not valid TOML, as a ParseError or several joined.
// The struct is filled with all that is right before it. Errors about unknown keys match
// ErrUnknownKey.
func Decode(text []byte, into any) error {
	var all []ParseError
	left, err := text, decode(text, into)
	for len(all) < mostWrong {
		_, onlyUnknown := errors.AsType[*toml.StrictMissingError](err)
		wrong, ok := errors.AsType[*toml.DecodeError](err)
		if onlyUnknown || !ok {
			break
		}
		row, column := wrong.Position()
		p := ParseError{Row: row, Column: column, Key: Key(wrong.Key()), Message: message(wrong)}
		cut, ok := withoutRow(left, row)
		p.Syntax = !ok
		all = append(all, p)
		if p.Syntax {
			break
		}
		left, err = cut, decode(cut, reflect.New(reflect.TypeOf(into).Elem()).Interface())
	}
	if len(all) == 0 {
		return unknownKeys(err, into)
	}
	return inOrder(all, unknownKeys(decode(left, into), into))
}

func decode(text []byte, into any) error {
	return toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
}

// inOrder joins mistakes and those of an error as they follow in the text.
func inOrder(all []ParseError, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			if p, ok := errors.AsType[ParseError](one); ok {
				all = append(all, p)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b ParseError) int {
		if (a.Row == 0) != (b.Row == 0) {
			return cmp.Compare(b.Row, a.Row) // what has no row is last
		}
		return cmp.Compare(a.Row, b.Row)
	})
	if len(all) == 1 {
		return all[0]
	}
	errs := make([]error, len(all))
	for i, p := range all {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// unknownKeys turns an error about keys that into does not have into one of this package.
func unknownKeys(err error, into any) error {
	strict, ok := errors.AsType[*toml.StrictMissingError](err)
	if !ok {
		return err
	}
	known := Keys(into)
	var unknown []error
	for i, e := range strict.Errors {
		if i == mostUnknown {
			rest := fmt.Sprintf("and %d more unknown keys", len(strict.Errors)-i)
			unknown = append(unknown, ParseError{Message: rest, Unknown: true})
			break
		}
		row, column := e.Position()
		key := Key(e.Key())
		unknown = append(unknown, ParseError{
			Row: row, Column: column, Key: key, Unknown: true,
			Message: ErrUnknownKey.Error() + " " + key + Meant(nearestKey(e.Key(), known)),
		})
	}
	return errors.Join(unknown...)
}

// Meant returns a hint at what was probably meant, or nothing.
func Meant(near string) string {
	if near == "" {
		return ""
	}
	return " (is " + near + " meant?)"
}
