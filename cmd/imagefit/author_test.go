package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/lint"
)

const (
	misspelt = "# ours\nversion: v1alpha1\ncompatibilities:\n- rules:\n  - name: cpu\n    matchFeatures:\n" +
		"    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: [Amd]}} # not Intel\n"
	spelt = `{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`
)

func TestLintPrintsFindings(t *testing.T) {
	t.Parallel()
	file := write(t, "needs.yaml", misspelt)
	got := tool(t, "", "lint", file)
	if want := file + `:8:54: error: no node has cpu.model vendor_id="Amd"; expected AMD [value-spelling]` + "\n"; got.stdout != want || got.err != cli.ExitError(exitFindings) {
		t.Errorf("%q %v, want %q", got.stdout, got.err, want)
	}
	var findings []lint.Finding
	got = tool(t, misspelt, "lint", "-o", "json", "-")
	if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil || len(findings) != 1 || !findings[0].Fixable || findings[0].File != "-" {
		t.Errorf("%v: %s", err, got.stdout)
	}
	if out := toolOK(t, "lint", "-o", "json", write(t, "good.json", spelt)); strings.TrimSpace(out) != "[]" {
		t.Errorf("no findings are %q", out)
	}
}

func TestLintWarningsFailOnlyIfStrict(t *testing.T) {
	t.Parallel()
	file := write(t, "needs.json", `{"compatibilities": {"nfd": {}}}`)
	if out := toolOK(t, "lint", file); !strings.Contains(out, "warning") {
		t.Errorf("no warning: %q", out)
	}
	if got := tool(t, "", "lint", "--strict", file); got.err != cli.ExitError(exitFindings) {
		t.Errorf("strict: %v", got.err)
	}
}

func TestLintFixesFilesInPlace(t *testing.T) {
	t.Parallel()
	file := write(t, "needs.yaml", misspelt)
	const diff = "@@ -8 +8 @@\n-      matchExpressions: {vendor_id: {op: In, value: [Amd]}} # not Intel\n+      matchExpressions: {vendor_id: {op: In, value: [AMD]}} # not Intel\n"
	if got := tool(t, "", "lint", "--diff", "--fix", file); !strings.HasSuffix(got.stdout, diff) {
		t.Errorf("%q", got.stdout)
	}
	if text := readText(t, file); text != misspelt {
		t.Errorf("--diff changed the file: %q", text)
	}
	got := tool(t, "", "lint", "--fix", file)
	if got.err != nil || got.stdout != "" || !strings.Contains(got.stderr, ": 1 fixed") {
		t.Errorf("%+v", got)
	}
	if text := readText(t, file); text != strings.Replace(misspelt, "Amd", "AMD", 1) {
		t.Errorf("%q", text)
	}
}

func TestLintRefusesFlagsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	wantError(t, tool(t, "", "lint", "--fix", "-").err, "--fix cannot change stdin")
	wantError(t, tool(t, "", "lint", filepath.Join(t.TempDir(), "none")).err, "none", "no such file")
	wantError(t, tool(t, spelt, "lint", "--dialect", "klingon", "-").err, `invalid argument "klingon" for "--dialect"`, "proposal-f")
	wantError(t, tool(t, spelt, "lint", "--diff", "-o", "json", "-").err, "--diff")
}

// TestCreateFromPlainProgramRequiresNothing: what the platform of an image says is not
// written, and Go programs look at the CPU before they use more.
func TestCreateFromPlainProgramRequiresNothing(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	got := tool(t, "", "create", "--from", own)
	if got.err != cli.ExitError(exitNothing) || got.stdout != "" || !strings.Contains(got.stderr, "nothing has to be required") {
		t.Errorf("%+v", got)
	}
	wantError(t, tool(t, "", "create", "--from", own, "--base", filepath.Join(t.TempDir(), "none")).err, "--base", "no such file")
	wantError(t, tool(t, "", "create", "--from", own, "--mpi", "mine").err, `"mine" for "--mpi"`, "host")
}

func TestCreateFromHostFitsTheHost(t *testing.T) {
	t.Parallel()
	const facts = "../../pkg/hostfacts/testdata/hosts/amd-genoa.json"
	file := filepath.Join(t.TempDir(), "needs.json")
	got := tool(t, "", "create", "--from-host", "--facts", facts, "-w", file)
	if got.err != nil || got.stdout != "" || !strings.Contains(got.stderr, "its model is left out") {
		t.Fatalf("%+v", got)
	}
	if text := readText(t, file); !strings.Contains(text, `"target": "x86_64_v4"`) || !strings.Contains(text, `"kernel-version.major": `) {
		t.Errorf("%s", text)
	}
	if got := tool(t, "", "check", file, "--facts", facts); got.err != nil {
		t.Errorf("the node does not fit: %v\n%s", got.err, got.stdout)
	}
	wantError(t, tool(t, "", "create", "--from-host", "--facts", facts, "-w", file).err, file, "exists")
	if got := tool(t, "", "create", "--from-host", "--facts", facts, "--family", "cpu", "-w", file, "--force"); got.err != nil {
		t.Error(got.err)
	}
	if text := readText(t, file); strings.Contains(text, "kernel") {
		t.Errorf("not replaced: %s", text)
	}
}

func TestCreateRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	wantError(t, tool(t, "", "create").err, "from")
	wantError(t, tool(t, "", "create", "--from", "x", "--from-host").err, "from")
	wantError(t, tool(t, "", "create", "--from-host", "--family", "magic").err, `--family "magic"`, "cpu, kernel")
	wantError(t, tool(t, "", "create", "--from", "/dev/null").err, "not a file or a directory")
}

func TestConvertWritesUnlessSomethingIsLost(t *testing.T) {
	t.Parallel()
	out := toolOK(t, "convert", write(t, "needs.json", spelt), "--to", "nfd-v1alpha1")
	if !strings.Contains(out, "feature: cpu.cpuid") {
		t.Errorf("%s", out)
	}
	rules := strings.Replace(misspelt, "[Amd]", "[AMD, Intel]", 1)
	got := tool(t, rules, "convert", "-", "--to", "proposal-f")
	if got.err != cli.ExitError(exitLost) || got.stdout != "" || !strings.Contains(got.stderr, "lost: cpu.model vendor_id=AMD|Intel: no attribute says this") {
		t.Errorf("%+v", got)
	}
	if got := tool(t, rules, "convert", "-", "--to", "proposal-f", "--lossy"); got.err != nil || !strings.Contains(got.stdout, "compatibilities") {
		t.Errorf("%+v", got)
	}
	wantError(t, tool(t, spelt, "convert", "-", "--to", "klingon").err, `invalid argument "klingon" for "--to"`, "proposal-f")
	wantError(t, tool(t, "{", "convert", "-", "--to", "compspec").err, "-: row 1, column 1")
}

func TestDialectsAreCompleted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"convert", "x", "--to", ""}, {"create", "--dialect", ""}, {"lint", "--dialect", ""}} {
		if out := toolOK(t, append([]string{"__complete"}, args...)...); !strings.Contains(out, "nfd-v1alpha1") {
			t.Errorf("%q: %q", args, out)
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
