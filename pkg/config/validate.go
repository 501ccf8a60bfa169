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
// tells which keys some source gives a value to.
func validate(c Config, stated func(key string) bool) []tomlerr.ParseError {
	v := validation{stated: stated, checks: checks()}
	v.table("", reflect.ValueOf(c), false)
	return v.problems
}

type validation struct {
	stated   func(key string) bool
	checks   map[string]check
	problems []tomlerr.ParseError
}

// table checks the keys of a struct by their tags. In an optional one only those that
// are stated are checked.
func (v *validation) table(name string, table reflect.Value, optional bool) {
	for key, f := range fields(name, table) {
		check := f.tag.Get("check")
		switch {
		case optional && !v.stated(key):
		case f.tag.Get("words") != "":
			v.note(key, oneOf(f.value.String(), f.words()))
		case check != "":
			v.note(key, v.checks[check].value(f.value.Interface()))
		}
		switch several := f.value.Interface().(type) {
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
		v.table(table, reflect.ValueOf(overrides[prefix]), true)
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
		v.problems = append(v.problems, tomlerr.ParseError{Key: key, Message: err.Error()})
	}
}
