package flux_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shapes are the files of testdata, as much of JSON schema as they use. They are typed
// from the rules of the RFCs.
type shapes map[string]any

func readShape(t *testing.T, name string) shapes {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var s shapes
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns what is wrong with a value, as JSON writes it.
func (s shapes) check(t *testing.T, value any) []string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return s.problems(s, v, "")
}

func (s shapes) problems(shape map[string]any, v any, at string) (found []string) {
	if ref, ok := shape["$ref"].(string); ok {
		return s.problems(s["definitions"].(map[string]any)[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any), v, at)
	}
	bad := func(format string, args ...any) { found = append(found, at+": "+fmt.Sprintf(format, args...)) }
	if one, ok := shape["oneOf"].([]any); ok {
		fits := 0
		for _, way := range one {
			if len(s.problems(way.(map[string]any), v, at)) == 0 {
				fits++
			}
		}
		if fits != 1 {
			bad("%d ways fit", fits)
		}
	}
	if constant, ok := shape["const"]; ok && constant != v {
		bad("is %v, want %v", v, constant)
	}
	if enum, ok := shape["enum"].([]any); ok && !slices.Contains(enum, v) {
		bad("is %v, want one of %v", v, enum)
	}
	if kind, ok := shape["type"].(string); ok && !hasKind(kind, v) {
		bad("is %T, want %s", v, kind)
		return found
	}
	limit := func(key string, n int, low bool) {
		if bound, ok := shape[key].(float64); ok && (low && n < int(bound) || !low && n > int(bound)) {
			bad("%s: it has %d", key, n)
		}
	}
	switch v := v.(type) {
	case string:
		if pattern, ok := shape["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			bad("%q does not match %s", v, pattern)
		}
	case float64:
		limit("minimum", int(v), true)
	case []any:
		limit("minItems", len(v), true)
		limit("maxItems", len(v), false)
		if items, ok := shape["items"].(map[string]any); ok {
			for i, item := range v {
				found = append(found, s.problems(items, item, fmt.Sprint(at, "/", i))...)
			}
		}
	case map[string]any:
		limit("minProperties", len(v), true)
		limit("maxProperties", len(v), false)
		found = append(found, s.members(shape, v, at)...)
	}
	return found
}

func (s shapes) members(shape, v map[string]any, at string) (found []string) {
	known, _ := shape["properties"].(map[string]any)
	required, _ := shape["required"].([]any)
	for _, key := range required {
		if _, ok := v[key.(string)]; !ok {
			found = append(found, at+": lacks "+key.(string))
		}
	}
	for key, member := range v {
		if names, ok := shape["propertyNames"].(map[string]any); ok {
			found = append(found, s.problems(names, key, at+"/"+key)...)
		}
		if values, ok := shape["values"].(map[string]any); ok {
			found = append(found, s.problems(values, member, at+"/"+key)...)
		}
		if inner, ok := known[key].(map[string]any); ok {
			found = append(found, s.problems(inner, member, at+"/"+key)...)
		} else if shape["additionalProperties"] == false {
			found = append(found, at+": has "+key)
		}
	}
	return found
}

func hasKind(kind string, v any) bool {
	switch v := v.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int(v))
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}
