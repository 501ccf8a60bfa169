package tomlerr

import (
	"bytes"
	"errors"
	"fmt"
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

// Decode reads text into the struct that into points to. A key that the struct
// does not have is an error; keys are named as in the toml tags. If unknown keys
// are the only errors, the struct is filled all the same, and the error matches
// ErrUnknownKey. Errors are a ParseError, or several joined.
func Decode(text []byte, into any) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
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
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := decode.Position()
		return ParseError{Row: row, Column: column, Key: Key(decode.Key()), Message: message(decode)}
	}
	return err
}

// Meant returns a hint at what was probably meant, or nothing.
func Meant(near string) string {
	if near == "" {
		return ""
	}
	return " (is " + near + " meant?)"
}

// message leaves out the names of Go's types and fields.
func message(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	what, field, ok := strings.Cut(text, " into struct field ")
	if !ok {
		return text
	}
	_, kind, _ := strings.Cut(field, " of type ")
	return what + " as " + strings.ToLower(kind[strings.LastIndex(kind, ".")+1:])
}
