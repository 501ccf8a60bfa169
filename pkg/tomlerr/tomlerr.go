package tomlerr

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Decode reads text into the struct that into points to. A key that the struct
// does not have is an error; keys are named as the toml tags name them. What
// can be read is in the struct also where unknown keys are the only errors,
// which is when the error matches ErrUnknownKey.
func Decode(text []byte, into any) error {
	err := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields().Decode(into)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		known := Keys(into)
		unknown := make([]error, len(strict.Errors))
		for i, e := range strict.Errors {
			unknown[i] = unknownKey(&e, known)
		}
		return errors.Join(unknown...)
	}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := decode.Position()
		where := fmt.Sprintf("row %d, column %d", row, column)
		if len(decode.Key()) > 0 {
			where += ", key " + strings.Join(decode.Key(), ".")
		}
		return fmt.Errorf("%s: %s", where, message(decode))
	}
	return err
}

// ErrUnknownKey is matched by errors about keys that nobody reads.
var ErrUnknownKey = errors.New("unknown key")

func unknownKey(e *toml.DecodeError, known []string) error {
	row, column := e.Position()
	key := strings.Join(e.Key(), ".")
	hint := ""
	if near := nearest(key, known); near != "" {
		hint = fmt.Sprintf(" (is %s meant?)", near)
	}
	return fmt.Errorf("row %d, column %d: %w %s%s", row, column, ErrUnknownKey, key, hint)
}

// message leaves out the names that things have in Go.
func message(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	what, field, ok := strings.Cut(text, " into struct field ")
	if !ok {
		return text
	}
	_, kind, _ := strings.Cut(field, " of type ")
	return what + " as " + strings.ToLower(kind[strings.LastIndex(kind, ".")+1:])
}

// Keys returns the full key of every value and table that the struct, which
// into is or points to, can hold, in the order of its fields.
func Keys(into any) []string {
	return keys(reflect.TypeOf(into), "")
}

func keys(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var all []string
	for field := range t.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if tag == "" {
			continue
		}
		all = append(all, prefix+tag)
		all = append(all, keys(field.Type, prefix+tag+".")...)
	}
	return all
}

// nearest returns the known key that is written almost like key, or "".
func nearest(key string, known []string) string {
	const longest = 100 // of what is worth a comparison
	best, near := 3, ""
	if len(key) > longest {
		return ""
	}
	for _, k := range known {
		if d := distance(key, k); d < best {
			best, near = d, k
		}
	}
	return near
}

// distance counts the bytes to insert, remove or replace that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
