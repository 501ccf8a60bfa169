package config_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

const examplePath = "../../config.toml.example"

// What the example says is what holds without it.
func TestTheExampleStatesTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Sources{File: examplePath}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if want := config.Default(); !reflect.DeepEqual(got.Config, want) {
		t.Errorf("the example says\n%+v\nthe defaults are\n%+v", got.Config, want)
	}
}

// Each key of Config stands in the example once, in the
// order of Config, with a comment of its own above it, and no other key does.
func TestTheExampleExplainsEveryKey(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	table, above := "", ""
	for i, line := range strings.Split(string(content), "\n") {
		key := ""
		switch {
		case strings.HasPrefix(line, "["):
			key = strings.Trim(line, "[]")
			table = key + "."
		case line != "" && !strings.HasPrefix(line, "#"):
			name, _, _ := strings.Cut(line, "=")
			key = table + strings.TrimSpace(name)
		}
		if key != "" {
			keys = append(keys, key)
			if len(above) < len("# What it is.") || !strings.HasPrefix(above, "# ") {
				t.Errorf("line %d: key %s has no comment above it", i+1, key)
			}
		}
		if len(line) > 80 {
			t.Errorf("line %d is longer than 80 characters", i+1)
		}
		above = line
	}
	want := tomlerr.Keys(config.Config{})
	want = slices.DeleteFunc(want, func(key string) bool { // the comment above the list explains them
		return strings.HasPrefix(key, "select.prefer_annotations.") || strings.Contains(key, ".repositories.")
	})
	slices.Sort(want)
	slices.Sort(keys)
	if !slices.Equal(keys, want) {
		t.Errorf("the example has the keys\n%v\nConfig has\n%v", keys, want)
	}
}

// A field without a toml tag would be read under a name
// that nobody documents.
func TestEveryFieldHasALowerCaseKey(t *testing.T) {
	t.Parallel()
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for field := range typ.Fields() {
			tag := field.Tag.Get("toml")
			if field.Anonymous {
				walk(field.Type)
				continue
			}
			if tag == "" || strings.ToLower(tag) != tag {
				t.Errorf("%s.%s has the tag %q", typ.Name(), field.Name, tag)
			}
			if field.Type.Kind() == reflect.Struct {
				walk(field.Type)
			}
		}
	}
	walk(reflect.TypeFor[config.Config]())
}
