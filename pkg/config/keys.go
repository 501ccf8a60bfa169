package config

import (
	"reflect"
	"strings"

	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// leaf is a key that has a value, not a table.
type leaf struct {
	key   string
	field reflect.StructField
}

// leaves returns all keys in the order of Config.
func leaves() []leaf { return leavesOf("", reflect.TypeFor[Config]()) }

func leavesOf(prefix string, table reflect.Type) []leaf {
	var all []leaf
	for field := range table.Fields() {
		key := prefix + field.Tag.Get("toml")
		switch {
		case field.Anonymous:
			all = append(all, leavesOf(prefix, field.Type)...)
		case field.Type.Kind() == reflect.Struct:
			all = append(all, leavesOf(key+".", field.Type)...)
		default:
			all = append(all, leaf{key, field})
		}
	}
	return all
}

// words are the values that a key is one of, or nil.
func words(field reflect.StructField) []string {
	if tag := field.Tag.Get("words"); tag != "" {
		return strings.Split(tag, ",")
	}
	if field.Type.Kind() == reflect.Bool {
		return []string{"true", "false"}
	}
	return nil
}

// Settings returns every key=value for keys of few values and key= for others,
// which is what --set may begin with.
func Settings() []string {
	var all []string
	for _, l := range leaves() {
		values := words(l.field)
		if values == nil {
			values = []string{""}
		}
		for _, value := range values {
			all = append(all, l.key+"="+value)
		}
	}
	return all
}

// typeOf returns the type of what a key stands for, or nil.
func typeOf(key []string) reflect.Type {
	t := reflect.TypeFor[Config]()
	for _, part := range key {
		switch {
		case t.Kind() == reflect.Map:
			t = t.Elem()
		case t.Kind() == reflect.Struct:
			field, ok := fieldOf(t, part)
			if !ok {
				return nil
			}
			t = field.Type
		default:
			return nil
		}
	}
	return t
}

func fieldOf(table reflect.Type, name string) (reflect.StructField, bool) {
	for field := range table.Fields() {
		if field.Anonymous {
			if inner, ok := fieldOf(field.Type, name); ok {
				return inner, true
			}
		}
		if field.Tag.Get("toml") == name {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

// toml writes the line that gives a value to a key: texts need no quotes where
// the key wants one, and where nobody knows the key, which is then the mistake to
// tell. ok is false where that is more or less than one value.
func toml(key []string, value string) (line string, ok bool) {
	if t := typeOf(key); t == nil || t.Kind() == reflect.String || t == reflect.TypeFor[Duration]() {
		value = tomlerr.Quote(value)
	}
	line = tomlerr.Key(key) + " = " + value
	_, ok = tomlerr.OnlyKey(line)
	return line, ok
}
