package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// Value is what a key is set to, and where.
type Value struct {
	Table  string // of the key, "" at the top
	Name   string // of the key in its table
	Value  any
	Origin string
}

// Key is the full key.
func (v Value) Key() string { return join(v.Table, v.Name) }

// Values returns every value in effect, in the order of Config.
func (l *Loaded) Values() []Value {
	return l.values("", reflect.ValueOf(l.Config), false)
}

func (l *Loaded) values(table string, v reflect.Value, optional bool) []Value {
	var all []Value
	for key, f := range fields(table, v) {
		if f.isOverrides() {
			for prefix, answers := range f.overrides() {
				all = append(all, l.values(key+"."+tomlerr.Key([]string{prefix}), answers, true)...)
			}
			continue
		}
		if several, ok := f.value.Interface().(map[string]string); ok {
			for _, name := range slices.Sorted(maps.Keys(several)) {
				quoted := tomlerr.Key([]string{name})
				all = append(all, Value{Table: key, Name: quoted, Value: several[name], Origin: l.Origin(join(key, quoted))})
			}
			continue
		}
		if optional && f.value.IsZero() {
			continue
		}
		all = append(all, Value{Table: f.table, Name: f.name, Value: f.value.Interface(), Origin: l.Origin(key)})
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
