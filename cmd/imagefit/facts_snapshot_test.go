package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

const gravitonRoot = "../../pkg/hostfacts/testdata/arm64-graviton2/root"

// factsOf returns the facts that a command line prints as JSON.
func factsOf(t *testing.T, args ...string) *facts.Facts {
	t.Helper()
	code, stdout, stderr := imagefit(append([]string{"facts", "-o", "json"}, args...)...)
	if code != 0 || stderr != "" {
		t.Fatalf("%q: exit code %d, stderr %q", args, code, stderr)
	}
	facts, err := hostfacts.Parse(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestSnapshotIsTakenBack(t *testing.T) {
	t.Parallel()
	roots := []string{zenRoot, gravitonRoot}
	if runtime.GOOS == "linux" {
		roots = append(roots, "/")
	}
	for _, root := range roots {
		for _, all := range []bool{false, true} {
			file := filepath.Join(t.TempDir(), "node.tar.gz")
			args := []string{"facts", "snapshot", file, "--root", root}
			if all {
				args = append(args, "--all")
			}
			if code, stdout, stderr := imagefit(args...); code != 0 || stdout+stderr != "" {
				t.Fatalf("exit code %d, %q %q", code, stdout, stderr)
			}
			want, got := factsOf(t, "--root", root), factsOf(t, "--root", file)
			if want.Fingerprint() != got.Fingerprint() {
				t.Errorf("%s: another fingerprint: %v", root, facts.Diff(want, got))
			}
			if known := got.Lookup("system.name", "nodename").State == facts.Present; known != all {
				t.Errorf("%s: the node's name is there: %v, asked for: %v", root, known, all)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(left) != 1 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		}
	}
}

func TestSnapshotIsWrittenToStdout(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := imagefit("facts", "snapshot", "-", "--root", zenRoot)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "\x1f\x8b") {
		t.Errorf("exit code %d, stdout %.10q, stderr %q", code, stdout, stderr)
	}
}

func TestFactsYAMLIsTheJSON(t *testing.T) {
	t.Parallel()
	_, jsonText, _ := imagefit("facts", "--root", zenRoot, "-o", "json")
	code, yamlText, stderr := imagefit("facts", "--root", zenRoot, "-o", "yaml")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var document any
	if err := yaml.Unmarshal([]byte(yamlText), &document); err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	got, err := hostfacts.Parse(strings.NewReader(string(back)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := hostfacts.Parse(strings.NewReader(jsonText))
	if err != nil {
		t.Fatal(err)
	}
	if changes := facts.Diff(want, got); len(changes) > 0 || got.Fingerprint() != want.Fingerprint() {
		t.Errorf("differs: %v", changes)
	}
}

func TestFactsArePrintedAsLabels(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := imagefit("facts", "--root", zenRoot, "-o", "labels")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"cpu-cpuid.AVX2=true\n", "cpu-model.vendor_id=AMD\n", "kernel-version.major=3\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
}

func TestFactsDiffPrintsEachChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	jsonFile, snapshot := filepath.Join(dir, "zen.json"), filepath.Join(dir, "zen.tar.gz")
	_, text, _ := imagefit("facts", "--root", zenRoot, "-o", "json")
	if err := os.WriteFile(jsonFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed.json")
	replaced := strings.Replace(text, `"full": "3.10.0-1160.el7.x86_64"`, `"full": "3.10.0-1161.el7.x86_64"`, 1)
	if err := os.WriteFile(changed, []byte(replaced), 0o600); err != nil || replaced == text {
		t.Fatal("nothing is replaced", err)
	}
	if code, _, stderr := imagefit("facts", "snapshot", "--all", snapshot, "--root", zenRoot); code != 0 {
		t.Fatal(stderr)
	}
	for _, same := range []string{jsonFile, snapshot, zenRoot} {
		if code, stdout, stderr := imagefit("facts", "diff", zenRoot, same); code != 0 || stdout+stderr != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", same, code, stdout, stderr)
		}
	}
	const line = "~ kernel.version full: 3.10.0-1160.el7.x86_64 -> 3.10.0-1161.el7.x86_64\n"
	if code, stdout, stderr := imagefit("facts", "diff", snapshot, changed); code != exitDiffer || stdout != line || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, stderr := imagefit("facts", "diff", "-o", "json", jsonFile, changed)
	var changes []facts.Change
	if err := json.Unmarshal([]byte(stdout), &changes); err != nil || len(changes) != 1 || code != exitDiffer || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q: %v", code, stdout, stderr, err)
	}
	if code, stdout, _ := imagefit("facts", "diff", "-o", "json", jsonFile, jsonFile); code != 0 || stdout != "[]\n" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
}

// TestFactsShowOrigins: what the operator says is told from what was found.
func TestFactsShowOrigins(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{
		"proc/sys/kernel/osrelease":      "6.8.0-45-generic\n",
		"etc/imagefit/facts.d/10-a.toml": "version = 1\n[attributes.\"kernel.version\"]\nflavour = \"ours\"\n[flags]\n\"site.licences\" = [\"matlab\"]\n",
		"etc/imagefit/facts.d/20-b.toml": "version = 1\nnonsense",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, stdout, _ := imagefit("facts", "--root", root)
	for _, want := range []string{
		"\nkernel.version: 5 present (/proc/sys/kernel/osrelease)\n",
		"\n  flavour   ours  (/etc/imagefit/facts.d/10-a.toml)\n",
		"\nsite.licences: 1 present (/etc/imagefit/facts.d/10-a.toml)\n  matlab\n",
		"\nproblems: skipped\n", "20-b.toml: row 2, column ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
	if code, stdout, stderr := imagefit("facts", "--root", root, "--family", "site"); code != 0 || !strings.Contains(stdout, "matlab") {
		t.Errorf("the operator's family: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
