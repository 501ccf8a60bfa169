package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/author/lint"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// madeUp are bodies that could be taken for several dialects, and their own.
func madeUp() map[string]string {
	const rule = `{"version":"v1alpha1","compatibilities":[{"rules":[{"matchFeatures":[%s]}]}]}`
	return map[string]string{
		`{"kind":"x","compatibilities":{"nfd":{"cpu-cpuid.AVX2":true}}}`:                                 "proposal-f",
		`{"version":"v1alpha1","compatibilities":{"nfd":{"cpu-cpuid.AVX2":true}}}`:                       "proposal-f",
		`{"compatibilities":{},"rules":[]}`:                                                              "proposal-f",
		`{"version":"1.0","compatibilities":[{"name":"cpu","attributes":{"target":"zen2"}}]}`:            "compspec",
		`{"kind":"CompatibilitySpec","compatibilities":[{"name":"cpu","attributes":{"target":"zen2"}}]}`: "compspec",
		`{"kind":"CompatibilitySpec","compatibilities":{"nfd":{}}}`:                                      "compspec",
		`{"kind":"NodeFeatureRule","spec":{"rules":[]}}`:                                                 "compspec",
		`{"version":"0.0.0","attributes":{"llnl.compatlib.library-name.a":"x"}}`:                         "compspec",
		`{"compatibilities":[{"oci.cpu.vendor":"Intel"}]}`:                                               "proposal-h",
		`{"compatibilities":[]}`: "proposal-h",
		`{"mediaType":"application/vnd.oci.image.compatibilities.v1+json","compatibilities":[{"oci.a":"b"}]}`: "proposal-j",
		`{"schemaVersion":2,"compatibilities":[{"oci.cpu.vendor":"Intel"}]}`:                                  "proposal-j",
		`{"spec":{"compatibilities":[{"id":"a","domain":"cpu","attributes":{"target":"zen2"}}]}}`:             "proposal-b",
		`{"spec":{},"compatibilities":{"nfd":{}}}`:                                                            "proposal-b",
		`{"version":"v1alpha1","compatibilities":[]}`:                                                         "nfd-v1alpha1",
		`{"version":"v1alpha1"}`:                                                           "nfd-v1alpha1",
		`{version: v1alpha1, compatibilities: []}`:                                         "nfd-v1alpha1",
		"version: v1alpha1\ncompatibilities:\n- rules:\n":                                  "nfd-v1alpha1",
		fmt.Sprintf(rule, `{"feature":"cpu.cpuid","matchExpressions":["AVX2"]}`):           "nfd-v1alpha1",
		fmt.Sprintf(rule, `{"matchExpressions":[{"key":"cpu-cpuid.AVX2","op":"Exists"}]}`): "ocifit",
		`{"compatibilities":[{"rules":[{"matchModel":{}}]}]}`:                              "ocifit",
		`{}`: "", `[]`: "", ``: "", `null`: "", `{`: "", "a: [": "", `{"compatibilities":null}`: "", `{"compatibilities":"x"}`: "", `{"rules":[]}`: "",
	}
}

// TestEveryCommandTakesABodyForTheSameDialect: lint, check, attach and convert
// agree on the dialect of a body, and on whether it is one at all. The pull goes
// by the same compat.Detect.
func TestEveryCommandTakesABodyForTheSameDialect(t *testing.T) {
	t.Parallel()
	bodies := madeUp()
	for _, body := range sampleBodies(t) {
		d, ok := dialect.Detect("", "", []byte(body))
		if bodies[body] = d.Name; !ok {
			bodies[body] = ""
		}
	}
	if len(bodies) < 80 {
		t.Fatalf("only %d bodies", len(bodies))
	}
	dir := t.TempDir()
	for body, want := range bodies {
		file := filepath.Join(dir, "body")
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		checked, accepted := checkedAs(t, file)
		got := map[string]string{"check": checked, "attach": attachedAs(t, body), "convert": convertedAs(t, body, accepted)}
		for command, name := range got {
			if want != "" && name != want || want == "" && accepted {
				t.Errorf("%s takes it for %q, want %q:\n%.300s", command, name, want, body)
			}
		}
		if refused := lintRefuses(t, file); refused == accepted {
			t.Errorf("check accepts it: %v, lint refuses it: %v:\n%.300s", accepted, refused, body)
		}
	}
}

// sampleBodies are all files of all testdata folders that could be bodies.
func sampleBodies(t *testing.T) []string {
	t.Helper()
	var bodies []string
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		isBody := slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path))
		if !isBody || !strings.Contains(path, "/testdata/") || strings.Contains(path, "/root/") ||
			strings.Contains(path, "/cosign/") || // of cosign: no bodies, and lint reads some as it reads manifests
			filepath.Base(path) == "entry.json" { // of an index, the same
			return nil
		}
		body, err := os.ReadFile(path)
		bodies = append(bodies, string(body))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bodies
}

// readAs finds the dialect in an error, and "" where it has none.
func readAs(err error) string {
	_, name, _ := strings.Cut(err.Error(), "read as ")
	name, _, _ = strings.Cut(name, ":")
	return name
}

func checkedAs(t *testing.T, file string) (dialect string, accepted bool) {
	t.Helper()
	got := tool(t, "", "check", file, "--facts", "../../pkg/hostfacts/testdata/hosts/amd-genoa.json", "-o", "json")
	if code := cli.ExitError(0); got.err != nil && !errors.As(got.err, &code) {
		return readAs(got.err), false
	}
	var checked struct{ Dialect string }
	if err := json.Unmarshal([]byte(got.stdout), &checked); err != nil {
		t.Fatal(err, got.stdout)
	}
	return checked.Dialect, true
}

func attachedAs(t *testing.T, body string) string {
	t.Helper()
	r := bodyReader{
		cmd: &cobra.Command{}, interpreter: spec.NewInterpreter(nil), force: true,
		step: func(string) {}, note: func(string, ...any) {},
	}
	r.cmd.SetErr(io.Discard)
	read, err := r.read("-", "", []byte(body))
	if err != nil {
		return readAs(err)
	}
	return read.Dialect.Name
}

func convertedAs(t *testing.T, body string, accepted bool) string {
	t.Helper()
	_, err := convert.Body(testkit.Specs(t), []byte(body), "nfd-v1alpha1")
	if (err == nil) != accepted {
		t.Errorf("check accepts it: %v, convert says %v:\n%.300s", accepted, err, body)
	}
	d, _ := dialect.Detect("", "", []byte(body))
	if err != nil && readAs(err) != "" {
		return readAs(err)
	}
	return d.Name
}

// lintRefuses reports whether the parser has the last word.
func lintRefuses(t *testing.T, file string) bool {
	t.Helper()
	var findings []lint.Finding
	if err := json.Unmarshal([]byte(tool(t, "", "lint", "-o", "json", file).stdout), &findings); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(findings, func(f lint.Finding) bool {
		return slices.Contains([]string{"shape", "syntax", "operator-values"}, f.Code)
	})
}
