package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const ownSpec = `version = 1
name = "site"
revision = "2"
description = "what this site has"
groups = ["example.site"]

[[node]]
name = "licence"
description = "a licence server"
fact = "site.features"
element = "licence"
type = "bool"
match = "exists"
importance = "preferred"
weight = 3
`

func TestSpecListShowsSpecsInOrder(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(write(t, "site.toml", ownSpec))
	if err := os.WriteFile(filepath.Join(dir, "broken.toml"), []byte("version = 1\nnmae = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tool(t, "", "spec", "list", "--specs", dir)
	if got.err != nil || !strings.Contains(got.stderr, "broken.toml: row 2, column 1") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%v, stderr %q", got.err, got.stderr)
	}
	for _, want := range []string{"NAME", "site ", "example.site", "site.toml", "io.archspec", "embedded specs/nfd.toml"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("list lacks %q:\n%s", want, got.stdout)
		}
	}
	var rows []specRow
	if err := json.Unmarshal([]byte(tool(t, "", "spec", "list", "--specs", dir, "-o", "json").stdout), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 3 || rows[0].Name != "site" || rows[0].Nodes != 1 || rows[0].Groups[0] != "example.site" {
		t.Errorf("rows: %+v", rows)
	}
}

func TestSpecShowPrintsAndDraws(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(write(t, "site.toml", ownSpec))
	tests := map[string]struct {
		args []string
		want []string
	}{
		"words": {[]string{"site"}, []string{
			"site  revision 2\n  about         what this site has\n", "\nlicence\n", "site.features licence, exists\n", "preferred, weight 3\n",
		}},
		"tree":     {[]string{"site", "--graph"}, []string{"site\n└── licence"}},
		"text":     {[]string{"site", "--graph=text"}, []string{"site\n└── licence"}},
		"dot":      {[]string{"site", "--graph=dot"}, []string{`digraph "site" {`, `"licence"`}},
		"embedded": {[]string{"io.archspec"}, []string{"cpu.target\n", "descends-from", "x86-64-v3 for x86_64_v3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := toolOK(t, append([]string{"spec", "show", "--specs", dir}, tt.args...)...)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("lacks %q:\n%s", want, got)
				}
			}
		})
	}
	wantError(t, tool(t, "", "spec", "show", "nobody", "--specs", dir).err, `no compatibility spec is named "nobody"`, "site", "io.archspec")
	wantError(t, tool(t, "", "spec", "show", "site", "--graph=svg", "--specs", dir).err, `invalid argument "svg" for "--graph"`)
}

func TestSpecCheckSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	if got := toolOK(t, "spec", "check", write(t, "site.toml", ownSpec)); !strings.Contains(got, "site.toml: site is valid, nodes: 1\n") {
		t.Errorf("got %q", got)
	}
	if got := tool(t, ownSpec, "spec", "check", "-"); got.err != nil {
		t.Error(got.err)
	}
	tests := map[string]struct {
		text string
		want []string
	}{
		"syntax":       {"version = 1\nname = \n", []string{"x.toml: row 2, column"}},
		"unknown key":  {strings.Replace(ownSpec, "element", "elemnt", 1), []string{"x.toml: row 11, column 1", "elemnt", "is node.element meant?"}},
		"two unknown":  {strings.NewReplacer("element", "elemnt", "weight", "wieght").Replace(ownSpec), []string{"elemnt", "; row 15", "wieght"}},
		"bad match":    {strings.Replace(ownSpec, `"exists"`, `"at-least"`, 1), []string{"x.toml: row 7", `node "licence"`, `match "at-least" is not one of`}},
		"no nodes":     {"version = 1\nname = \"x\"\ngroups = [\"x\"]\n", []string{"x.toml: ", "needs at least one node"}},
		"of tomorrow":  {"version = 2\n", []string{"version is 2, this imagefit reads 1"}},
		"not a string": {"version = \"1\"\n", []string{"row 1, column"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, tool(t, "", "spec", "check", write(t, "x.toml", tt.text)).err, tt.want...)
		})
	}
}

// TestSpecReadsSchemaGraphs: Proposal D's schemas are checked, drawn and turned
// into specs that are valid themselves.
func TestSpecReadsSchemaGraphs(t *testing.T) {
	t.Parallel()
	const schema = "../../pkg/compat/testdata/proposal-d/schema.json"
	if got := toolOK(t, "spec", "check", schema); got != schema+": org.supercontainers is valid, nodes: 22\n" {
		t.Errorf("check: %q", got)
	}
	drawn, err := os.ReadFile("../../pkg/compat/testdata/proposal-d/schema.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got := toolOK(t, "spec", "show", schema, "--graph"); got != string(drawn) {
		t.Errorf("show --graph:\n%s\nwant\n%s", got, drawn)
	}
	if got := toolOK(t, "spec", "show", schema); !strings.Contains(got, "\nhardware.gpu.cuda.version\n") || !strings.Contains(got, schema) {
		t.Errorf("show: %s", got)
	}
	file := filepath.Join(t.TempDir(), "own.toml")
	toolOK(t, "spec", "convert", schema, "-w", file)
	if got := toolOK(t, "spec", "check", file); got != file+": org.supercontainers is valid, nodes: 22\n" {
		t.Errorf("check of what was converted: %q", got)
	}
	if got := toolOK(t, "spec", "show", file, "--graph"); got != string(drawn) {
		t.Errorf("show --graph of what was converted:\n%s", got)
	}
	wantError(t, tool(t, "", "spec", "convert", schema, "-w", file).err, file, "exists")
	const printed = "../../pkg/compat/testdata/as-printed/proposal-d-schema.json"
	for _, verb := range []string{"check", "show", "convert"} {
		wantError(t, tool(t, "", "spec", verb, printed).err, printed+": row 144, column 19: an edge has the node", "not declared")
	}
	wantError(t, tool(t, `{"graph": {"nodes": {"a": {}}}}`, "spec", "check", "-").err, "the graph has no id; row 1", `no edge has the node "a"`)
}

func TestSpecSchemaIsJSON(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	if err := json.Unmarshal([]byte(toolOK(t, "spec", "schema")), &schema); err != nil || schema["$schema"] == nil {
		t.Errorf("%v: %v", schema["$schema"], err)
	}
}
