package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// Value is what a key is set to, and where that was said.
type Value struct {
	Table  string // of the key, "" at the top
	Name   string // of the key in its table
	Value  any
	Origin string
}

// Key is the full key.
func (v Value) Key() string { return v.Table + dot(v.Table) + v.Name }

// Values returns every value that holds, in the order of Config.
func (l *Loaded) Values() []Value {
	return l.values("", reflect.ValueOf(l.Config), false)
}

func (l *Loaded) values(table string, v reflect.Value, optional bool) []Value {
	var all []Value
	for field, value := range v.Fields() {
		one := Value{Table: table, Name: field.Tag.Get("toml"), Value: value.Interface()}
		one.Origin = l.Origin(one.Key())
		overrides, isMap := one.Value.(map[string]policy.Answers)
		switch {
		case field.Anonymous:
			all = append(all, l.values(table, value, optional)...)
		case value.Kind() == reflect.Struct:
			all = append(all, l.values(one.Key(), value, false)...)
		case isMap:
			for _, prefix := range slices.Sorted(maps.Keys(overrides)) {
				override := one.Key() + "." + tomlerr.Key([]string{prefix})
				all = append(all, l.values(override, reflect.ValueOf(overrides[prefix]), true)...)
			}
		case optional && value.IsZero():
		default:
			all = append(all, one)
		}
	}
	return all
}

// TOML writes the whole configuration as a file that says the same, with the
// origin of each value behind it.
func (l *Loaded) TOML() string {
	var b strings.Builder
	table := ""
	for _, v := range l.Values() {
		if v.Table != table {
			table = v.Table
			fmt.Fprintf(&b, "\n[%s]\n", table)
		}
		// A file's name may hold a line break, which would end the comment.
		fmt.Fprintf(&b, "%s = %s # %s\n", v.Name, written(v.Value), textutil.Line(v.Origin, maxOrigin))
	}
	return b.String()
}

// maxOrigin is what Linux allows of a path, and a row.
const maxOrigin = 4<<10 + 32

// written is a value as it is written in TOML.
func written(value any) string {
	switch v := value.(type) {
	case string:
		return tomlerr.Quote(v)
	case Duration:
		return tomlerr.Quote(v.String())
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	case []string:
		return list(v, tomlerr.Quote)
	case []Preference:
		return list(v, func(p Preference) string {
			return fmt.Sprintf("{ key = %s, value = %s, weight = %d }", tomlerr.Quote(p.Key), tomlerr.Quote(p.Value), p.Weight)
		})
	}
	return fmt.Sprint(value)
}

func list[T any](values []T, write func(T) string) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = write(v)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func dot(table string) string {
	if table == "" {
		return ""
	}
	return "."
}
