package config

import (
	"maps"
	"reflect"
	"strings"

	"github.com/imagefit/imagefit"
)

// Example is config.toml.example: every key with its default and a comment.
func Example() string { return imagefit.ConfigExample }

// Schema returns the JSON Schema of the configuration file. It is made of the
// fields of Config, their tags, the defaults, and the comments of the example.
func Schema() map[string]any {
	s := schema{checks: checks(), comments: comments(Example())}
	root := s.table("", reflect.ValueOf(Default()), true)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "The configuration of imagefit"
	root["required"] = []string{"version"} // of the file; a drop-in may leave it out
	root["properties"].(map[string]any)["version"].(map[string]any)["const"] = version
	return root
}

type schema struct {
	checks   map[string]check
	comments map[string]string
}

// table describes a struct. Its values are the defaults where there are any.
func (s schema) table(prefix string, v reflect.Value, defaults bool) map[string]any {
	root := object()
	for key, f := range fields("", v) {
		in, path := root, prefix
		for _, name := range strings.FieldsFunc(f.table, func(r rune) bool { return r == '.' }) {
			path += name
			in = s.within(in, name, path)
			path += "."
		}
		of := s.value(prefix+key, f, defaults)
		s.describe(of, prefix+key)
		in["properties"].(map[string]any)[f.name] = of
	}
	return root
}

func object() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{}}
}

// within returns the table of a name in another, and makes it at first.
func (s schema) within(table map[string]any, name, key string) map[string]any {
	properties := table["properties"].(map[string]any)
	if properties[name] == nil {
		inner := object()
		s.describe(inner, key)
		properties[name] = inner
	}
	return properties[name].(map[string]any)
}

// describe adds the comment of a key. An override means what the key of that name in
// the policy means.
func (s schema) describe(of map[string]any, key string) {
	if comment := s.comments[strings.Replace(key, "repositories.*.", "", 1)]; comment != "" {
		of["description"] = comment
	}
}

func (s schema) value(key string, f field, defaults bool) map[string]any {
	of := map[string]any{}
	switch f.value.Kind() {
	case reflect.Map:
		if f.value.Type().Elem().Kind() == reflect.String {
			of["type"], of["additionalProperties"] = "object", map[string]any{"enum": f.words()}
			of["propertyNames"] = map[string]any{"minLength": 1}
			return of
		}
		return map[string]any{
			"type":                 "object",
			"additionalProperties": s.table(key+".*.", reflect.Zero(f.value.Type().Elem()), false),
			"propertyNames":        pattern(`^[^/:]+(:[0-9]+)?(/[^/:]+)*$|^\[[0-9a-fA-F:]+\](:[0-9]+)?(/[^/:]+)*$`),
		}
	case reflect.Slice:
		of["type"] = "array"
		if element := f.value.Type().Elem(); element.Kind() == reflect.Struct {
			items := s.table(key+".", reflect.Zero(element), false)
			var required []string
			for name, f := range fields("", reflect.Zero(element)) {
				if f.tag.Get("check") != "" {
					required = append(required, name)
				}
			}
			items["required"] = required
			of["items"] = items
		}
	case reflect.Bool:
		of["type"] = "boolean"
	case reflect.Int:
		of["type"] = "integer"
	case reflect.Float64:
		of["type"] = "number"
	default: // also a Duration
		of["type"] = "string"
	}
	if f.tag.Get("words") != "" {
		of["enum"] = f.words()
	}
	maps.Copy(of, s.checks[f.tag.Get("check")].schema)
	if defaults && key != "version" {
		of["default"] = f.value.Interface()
	}
	return of
}

// comments returns the comment above each key and table of the example.
func comments(example string) map[string]string {
	all := map[string]string{}
	table, above := "", []string(nil)
	for line := range strings.Lines(example) {
		line = strings.TrimSpace(line)
		name, _, isValue := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "#"):
			above = append(above, strings.TrimSpace(strings.TrimPrefix(line, "#")))
			continue
		case strings.HasPrefix(line, "["):
			name = strings.Trim(line, "[]")
			table = name + "."
			all[name] = strings.Join(above, " ")
		case isValue:
			all[table+name] = strings.Join(above, " ")
		}
		above = nil
	}
	return all
}
