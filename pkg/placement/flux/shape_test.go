package flux_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// readShape compiles a schema of testdata. They are typed from the rules of the RFCs.
func readShape(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	file := "testdata/" + name + ".json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	if err := compiler.AddResource(file, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// problem says what is wrong with a value, as JSON writes it.
func problem(t *testing.T, schema *jsonschema.Schema, value any) error {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(v)
}

// The schemas refuse what Flux does.
func TestTheSchemasRefuseWhatFluxDoes(t *testing.T) {
	t.Parallel()
	job := func(constraint any) any { return jobspec(constraint) }
	for name, tt := range map[string]struct {
		schema string
		value  any
	}{
		"an operator that is not one": {"jobspec", job(map[string]any{"xor": []any{}})},
		"two operators":               {"jobspec", job(map[string]any{"or": []any{}, "properties": []any{"a"}})},
		"a property with a colon":     {"jobspec", job(map[string]any{"properties": []any{"a:b"}})},
		"a slot without a label":      {"canonical", map[string]any{"version": 1, "tasks": []any{}, "attributes": nil, "resources": []any{map[string]any{"type": "slot", "count": 1}}}},
		"R without nodes":             {"r", map[string]any{"version": 1, "execution": map[string]any{}}},
		"a property of R that is not": {"r", map[string]any{"version": 1, "execution": map[string]any{
			"R_lite": []any{map[string]any{"rank": "0", "children": map[string]any{"core": "0"}}}, "nodelist": []any{"n"}, "properties": map[string]any{"a|b": "0"},
		}}},
		"a vertex without paths": {"jgf", map[string]any{"graph": map[string]any{"edges": []any{}, "nodes": []any{map[string]any{"id": "0", "metadata": map[string]any{}}}}}},
	} {
		if problem(t, readShape(t, tt.schema), tt.value) == nil {
			t.Errorf("%s is valid", name)
		}
	}
}
