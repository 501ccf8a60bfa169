package main

import (
	"strings"
	"testing"
)

func TestWrongUseSaysWhatIsMeant(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"explan":             `unknown command "explan" of imagefit (is explain meant?)`,
		"vers":               `unknown command "vers" of imagefit: there are attach, audit, `,
		"frobnicate":         `unknown command "frobnicate" of imagefit: there are attach, audit, `,
		"config dmp":         `unknown command "dmp" of imagefit config (is dump meant?)`,
		"explain":            "imagefit explain is used as: imagefit explain IMAGE [flags]",
		"explain a b":        "imagefit explain is used as: imagefit explain IMAGE [flags]",
		"attach a":           "imagefit attach is used as: imagefit attach IMAGE... FILE [flags]",
		"explain a --fact x": "unknown flag --fact of imagefit explain (is --facts meant?)",
		"explain a --purple": "unknown flag --purple of imagefit explain: imagefit explain --help lists its flags",
		"convert x.json":     "--to is needed, the dialect to write: proposal-f, nfd-v1alpha1, compspec",
	} {
		wantError(t, tool(t, "", strings.Fields(line)...).err, want)
	}
}

// What is wrong with a file is explained alike by every command that reads one.
func TestSyntaxErrorsOfFilesAreInPlainWords(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"tab.yaml":   {"version: v1alpha1\ncompatibilities:\n\t- rules: []\n", "YAML is indented with spaces"},
		"comma.json": {`{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true,}}}`, "the comma before it is one too many"},
		"end.json":   {`{"compatibilities": {`, "ends too early"},
	} {
		file := write(t, name, tt.text)
		for _, args := range [][]string{
			{"check", file, "--facts", milan}, {"attach", "registry.example/x:1", file}, {"convert", file, "--to", "proposal-f"},
			{"explain", "registry.example/x:1", "--facts", file},
		} {
			wantError(t, tool(t, "", args...).err, name, "row ", tt.want)
		}
		if out := tool(t, "", "lint", file).stdout; !strings.Contains(out, tt.want) {
			t.Errorf("lint of %s: %s", name, out)
		}
	}
}

func TestWrongFilesForFactsAreNamed(t *testing.T) {
	t.Parallel()
	needs := write(t, "needs.json", needsAVX2)
	for text, want := range map[string]string{
		needsAVX2:                                 `it is what an image needs, not the facts of a node: "imagefit check" reads it`,
		misspelt:                                  "it is what an image needs",
		`{"schemaVersion": 2, "manifests": []}`:   "it is the index of an image",
		`{"schemaVersion": 2, "layers": []}`:      "it is the manifest of an image",
		`{"variants": {}}`:                        "it is the variants of a Python package",
		`{"reference": "a", "candidates": []}`:    "it is what \"imagefit explain -o json\" printed",
		"\x7fELF\x02\x01\x01\x00\x00":             "it is a program or another binary file",
		`{"kind": "NodeFeatureRule", "spec": {}}`: `kind is "NodeFeatureRule"`,
		"just some text":                          "the document is not an object",
	} {
		wantError(t, tool(t, "", "check", needs, "--facts", write(t, "facts", text)).err, "read --facts", want, "imagefit facts -o json")
	}
}
