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
	properties := map[string]any{}
	for field, value := range v.Fields() {
		if field.Anonymous {
			maps.Copy(properties, s.table(prefix, value, defaults)["properties"].(map[string]any))
			continue
		}
		key := prefix + field.Tag.Get("toml")
		var of map[string]any
		if value.Kind() == reflect.Struct {
			of = s.table(key+".", value, defaults)
		} else {
			of = s.value(key, field, value, defaults)
		}
		// An override means what the key of that name in the policy means.
		if comment := s.comments[strings.Replace(key, "repositories.*.", "", 1)]; comment != "" {
			of["description"] = comment
		}
		properties[field.Tag.Get("toml")] = of
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func (s schema) value(key string, field reflect.StructField, value reflect.Value, defaults bool) map[string]any {
	of := map[string]any{}
	switch value.Kind() {
	case reflect.Map:
		of = map[string]any{"type": "object", "additionalProperties": s.table(key+".*.", reflect.Zero(field.Type.Elem()), false)}
		of["propertyNames"] = pattern(`^[^/:]+(:[0-9]+)?(/[^/:]+)*$|^\[[0-9a-fA-F:]+\](:[0-9]+)?(/[^/:]+)*$`)
		return of
	case reflect.Slice:
		of["type"] = "array"
		if element := field.Type.Elem(); element.Kind() == reflect.Struct {
			items := s.table(key+".", reflect.Zero(element), false)
			items["required"] = required(element)
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
	if allowed := field.Tag.Get("words"); allowed != "" {
		of["enum"] = words(field)
	}
	maps.Copy(of, s.checks[field.Tag.Get("check")].schema)
	if defaults && key != "version" {
		of["default"] = value.Interface()
	}
	return of
}

// required returns the keys of a list's element for which nothing will not do.
func required(element reflect.Type) []string {
	var keys []string
	for field := range element.Fields() {
		if field.Tag.Get("check") != "" {
			keys = append(keys, field.Tag.Get("toml"))
		}
	}
	return keys
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
