package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("config.json", untyped(t, config.Schema())); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// untyped turns any value into what JSON makes of it.
func untyped(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// The schema takes and refuses what Load does.
func TestTheSchemaAgreesWithLoad(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	schema := compiled(t)
	tests := []struct {
		name, text string
		good       bool
	}{
		{"the example", string(example), true},
		{"no version", "log_level = \"info\"", false},
		{"another version", "version = 2", false},
		{"only the version", "version = 1", true},
		{"a key that is unknown", "version = 1\nx = 1", false},
		{"an unknown key in a table", "version = 1\n[proxy]\nlisten_on = \"/x\"", false},
		{"a word", "version = 1\npolicy.mode = \"audit\"", true},
		{"no word", "version = 1\npolicy.mode = \"on\"", false},
		{"a duration", "version = 1\nproxy.select_timeout = \"1h2.5s\"", true},
		{"no duration", "version = 1\nproxy.select_timeout = \"5 s\"", false},
		{"a bare number for a duration", "version = 1\nproxy.select_timeout = 5", false},
		{"no time to live", "version = 1\ncache.referrers_ttl = \"0s\"", true},
		{"a relative path", "version = 1\nstate_dir = \"x\"", false},
		{"a path for a socket", "version = 1\nproxy.listen = \"/x\"", true},
		{"tcp for a socket", "version = 1\nproxy.listen = \"tcp://x:1\"", false},
		{"no address", "version = 1\nproxy.http_listen = \"\"", true},
		{"a port alone", "version = 1\nproxy.http_listen = \"9460\"", false},
		{"folders", "version = 1\nregistry.config_path = \"/a:/b\"", true},
		{"no folders", "version = 1\nregistry.config_path = \"\"", true},
		{"a relative folder", "version = 1\nregistry.config_path = \"a\"", false},
		{"a plugin index", "version = 1\nnri.plugin_index = \"99\"", true},
		{"a number for it", "version = 1\nnri.plugin_index = 99", false},
		{"no room", "version = 1\ncache.max_size_mib = 0", false},
		{"a ratio", "version = 1\ntracing.sample_ratio = 0", true},
		{"too large a ratio", "version = 1\ntracing.sample_ratio = 2", false},
		{"a collector", "version = 1\ntracing.endpoint = \"http://h:4317\"", true},
		{"no collector", "version = 1\ntracing.endpoint = \"h:4317\"", false},
		{"an empty name in a list", "version = 1\npolicy.exempt_namespaces = [\"\"]", false},
		{"a text for a list", "version = 1\npolicy.exempt_namespaces = \"a\"", false},
		{"a preference", "version = 1\nselect.prefer_annotations = [{ key = \"a\", weight = 1 }]", true},
		{"a preference without weight", "version = 1\nselect.prefer_annotations = [{ key = \"a\" }]", false},
		{"a preference with more", "version = 1\nselect.prefer_annotations = [{ key = \"a\", weight = 1, x = 1 }]", false},
		{"an override", "version = 1\n[policy.repositories.\"r.example:5000/team\"]\nmode = \"audit\"", true},
		{"an empty answer", "version = 1\n[policy.repositories.\"r.example\"]\nmode = \"\"", false},
		{"an override of what cannot be", "version = 1\n[policy.repositories.\"r.example\"]\nexempt_static_pods = true", false},
		{"the mode of a namespace", "version = 1\npolicy.namespaces.staging = \"warn\"", true},
		{"no mode of a namespace", "version = 1\npolicy.namespaces.staging = \"off\"", false},
		{"a namespace without a name", "version = 1\npolicy.namespaces.\"\" = \"warn\"", false},
		{"a tag in a prefix", "version = 1\n[policy.repositories.\"r.example/a:v1\"]\nmode = \"audit\"", false},
		{"a slash behind a prefix", "version = 1\n[policy.repositories.\"r.example/\"]\nmode = \"audit\"", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var tree map[string]any
			if err := toml.Unmarshal([]byte(tt.text), &tree); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(untyped(t, tree)); (err == nil) != tt.good {
				t.Errorf("the schema says %v", err)
			}
			if _, err := parse(t, tt.text); (err == nil) != tt.good {
				t.Errorf("Load says %v", err)
			}
		})
	}
}

// Every key has the comment of the example, and its default.
func TestTheSchemaHasCommentsAndDefaults(t *testing.T) {
	t.Parallel()
	for _, key := range tomlerr.Keys(config.Config{}) {
		of := config.Schema()
		parts := strings.Split(key, ".")
		for i, part := range parts {
			switch {
			case part == "*":
				of, _ = of["additionalProperties"].(map[string]any)
			case of["items"] != nil:
				of = of["items"].(map[string]any)["properties"].(map[string]any)[part].(map[string]any)
			default:
				of, _ = of["properties"].(map[string]any)[part].(map[string]any)
			}
			if of == nil {
				t.Fatalf("the schema has no %s", strings.Join(parts[:i+1], "."))
			}
		}
		if description, _ := of["description"].(string); len(description) < 20 && !strings.HasPrefix(key, "select.prefer_annotations.") {
			t.Errorf("%s is described as %q", key, description)
		}
	}
	mode := config.Schema()["properties"].(map[string]any)["policy"].(map[string]any)["properties"].(map[string]any)["mode"].(map[string]any)
	if mode["default"] != policy.Enforce || !strings.HasPrefix(mode["description"].(string), `"enforce" decides and acts. "warn"`) {
		t.Errorf("policy.mode is %v", mode)
	}
}
