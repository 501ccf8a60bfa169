package config

import (
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// field is a key that has a value, not a table.
type field struct {
	table   string // of the key, "" at the top
	name    string // of the key in its table
	tag     reflect.StructTag
	value   reflect.Value
	index   []int // of the field, from the struct that was walked
	restart bool  // the field, or a table that it is in, is tagged so
}

// fields yields all keys of a table, with those of the tables within, in the order
// of the struct. It is the one walk over a configuration: loading, validation, dump,
// reload, schema and completion rest on it.
func fields(table string, v reflect.Value) iter.Seq2[string, field] {
	return func(yield func(string, field) bool) {
		walk(field{table: table, value: v}, yield)
	}
}

func walk(in field, yield func(string, field) bool) bool {
	for i := range in.value.NumField() {
		of := in.value.Type().Field(i)
		f := field{
			table: in.table, name: of.Tag.Get("toml"), tag: of.Tag, value: in.value.Field(i),
			index: append(slices.Clip(in.index), i), restart: in.restart || of.Tag.Get("restart") != "",
		}
		key := join(f.table, f.name)
		isTable := f.value.Kind() == reflect.Struct
		if isTable && !of.Anonymous { // the keys of an embedded struct are those of the table that it is in
			f.table = key
		}
		if isTable && !walk(f, yield) || !isTable && !yield(key, f) {
			return false
		}
	}
	return true
}

func join(table, name string) string {
	if table == "" {
		return name
	}
	return table + "." + name
}

// isOverrides reports whether the key is a table of tables with the settings of some
// repositories.
func (f field) isOverrides() bool {
	return f.value.Kind() == reflect.Map && f.value.Type().Elem().Kind() == reflect.Struct
}

// overrides yields these tables by the prefix of the repositories, in order.
func (f field) overrides() iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		names := f.value.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			if !yield(name.String(), f.value.MapIndex(name)) {
				return
			}
		}
	}
}

// over returns a table with the keys of another where that states them.
func over[T any](table, other T) T {
	into, from := reflect.ValueOf(&table).Elem(), reflect.ValueOf(other)
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			into.Field(i).Set(from.Field(i))
		}
	}
	return table
}

// words are the values that a key is one of, or nil.
func (f field) words() []string {
	if tag := f.tag.Get("words"); tag != "" {
		return strings.Split(tag, ",")
	}
	if f.value.Kind() == reflect.Bool {
		return []string{"true", "false"}
	}
	return nil
}

// Settings returns every key=value for keys of few values and key= for others,
// which is what --set may begin with.
func Settings() []string {
	var all []string
	for key, f := range fields("", reflect.ValueOf(Default())) {
		values := f.words()
		if values == nil {
			values = []string{""}
		}
		for _, value := range values {
			all = append(all, key+"="+value)
		}
	}
	return all
}

// takesText reports whether a value of the key is a text. So it is taken for one
// that is unknown, which is then the mistake to tell.
func takesText(key []string) bool {
	wanted := tomlerr.Key(key)
	for known, f := range fields("", reflect.ValueOf(Default())) {
		isOverride := f.value.Kind() == reflect.Map && strings.HasPrefix(wanted, known+".")
		switch {
		case strings.HasPrefix(known, wanted+"."): // a table
			return false
		case wanted == known:
			return f.value.Kind() == reflect.String || f.value.Type() == reflect.TypeFor[Duration]()
		case isOverride && f.value.Type().Elem().Kind() == reflect.String:
			return true
		case isOverride: // the prefix of a repository is a table, too
			return len(key) > strings.Count(known, ".")+2
		}
	}
	return true
}
