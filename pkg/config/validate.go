package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// validate names every value that cannot be used, not only the first. stated
// tells which keys somebody gave a value to.
func validate(c Config, stated func(key string) bool) []tomlerr.Problem {
	v := validation{stated: stated, checks: checks()}
	v.table("", reflect.ValueOf(c), false)
	return v.problems
}

type validation struct {
	stated   func(key string) bool
	checks   map[string]check
	problems []tomlerr.Problem
}

// table holds a struct's fields against their tags. In an optional one what
// nobody stated is left out.
func (v *validation) table(prefix string, table reflect.Value, optional bool) {
	for field, value := range table.Fields() {
		key := prefix + field.Tag.Get("toml")
		check := field.Tag.Get("check")
		switch {
		case field.Anonymous:
			v.table(prefix, value, optional)
		case value.Kind() == reflect.Struct:
			v.table(key+".", value, optional)
		case optional && !v.stated(key):
		case field.Tag.Get("words") != "":
			v.note(key, oneOf(value.String(), words(field)))
		case check != "":
			v.note(key, v.checks[check].value(value.Interface()))
		}
		switch several := value.Interface().(type) {
		case map[string]policy.Answers:
			v.repositories(key, several)
		case []Preference:
			v.preferences(key, several)
		}
	}
}

func (v *validation) repositories(key string, overrides map[string]policy.Answers) {
	for _, prefix := range slices.Sorted(maps.Keys(overrides)) {
		table := key + "." + tomlerr.Key([]string{prefix})
		v.note(table, checkPrefix(prefix))
		v.table(table+".", reflect.ValueOf(overrides[prefix]), true)
	}
}

func (v *validation) preferences(key string, list []Preference) {
	for i, preference := range list {
		inside := validation{checks: v.checks}
		inside.table("", reflect.ValueOf(preference), false)
		for _, p := range inside.problems {
			v.note(key, fmt.Errorf("entry %d: %w", i+1, p))
		}
	}
}

func (v *validation) note(key string, err error) {
	if err != nil {
		v.problems = append(v.problems, tomlerr.Problem{Key: key, Message: err.Error()})
	}
}
