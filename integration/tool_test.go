package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// tool runs bin/imagefit as a person would and returns its output.
func tool(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.toml")
	text := "version = 1\nstate_dir = \"" + t.TempDir() + "\"\n[cache]\nreferrers_ttl = \"0s\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "imagefit"), append(args, "--config", config)...)
	cmd.Env = stack.Environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// factsOf writes the facts of a node with these CPU flags to a file.
func factsOf(t *testing.T, flags string) string {
	t.Helper()
	out, errs, code := tool(t, "facts", "--root", host(t, flags), "-o", "json")
	if code != 0 {
		t.Fatalf("facts ended with %d: %s", code, errs)
	}
	file := filepath.Join(t.TempDir(), "facts.json")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What a person is told is what the proxy would do.
func TestExplainPrintsWhatThePullWouldDo(t *testing.T) {
	requireStack(t)
	registry := startRegistry(t)
	repo := registry.Repo("app")
	_, manifests, err := repo.PushIndex(t.Context(), "1", variants("amd64", "amd64/v3", "arm64")...)
	if err != nil {
		t.Fatal(err)
	}
	needs(t, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
	needs(t, repo, manifests[0], `"kernel-version.major": 5`)
	unfit := registry.Repo("unfit")
	if _, _, err = unfit.PushIndex(t.Context(), "1", variants("amd64/v3")...); err != nil {
		t.Fatal(err)
	}
	unclear := registry.Repo("unclear")
	_, manifests, err = unclear.PushIndex(t.Context(), "1", variants("amd64")...)
	if err != nil {
		t.Fatal(err)
	}
	needs(t, unclear, manifests[0], `"org.example.license": "gold"`)

	v2, v3 := factsOf(t, flagsV2), factsOf(t, flagsV3)
	tests := []struct {
		name, image, facts string
		code               int
		says               []string
	}{
		{"v3", repo.Ref("1"), v3, 0, []string{"cpu.cpuid AVX2", "kernel.version >= 5", "is 6.1.0", "linux/amd64/v3 of " + repo.Ref("1") + " is the best of 2 candidates"}},
		{"v2", repo.Ref("1"), v2, 0, []string{"absent", "linux/amd64 of " + repo.Ref("1") + " is the best of 2 candidates"}},
		{"none fits", unfit.Ref("1"), v2, 3, []string{"no variant of " + unfit.Ref("1") + " fits this node: linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 2)"}},
		{"only unknown", unclear.Ref("1"), v2, 4, []string{"unknown: no compatibility spec knows this attribute"}},
		{"no such image", registry.Host + "/none:1", v2, 1, nil},
		{"no reference", "Not A Reference", v2, 1, nil},
		{"no facts", repo.Ref("1"), "/nowhere", 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := tool(t, "explain", tt.image, "--facts", tt.facts)
			if code != tt.code {
				t.Errorf("exit code %d, want %d; it says\n%s%s", code, tt.code, out, errs)
			}
			for _, want := range tt.says {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if tt.code == 1 && (!strings.HasPrefix(errs, "imagefit: ") || strings.Count(errs, "\n") != 1) {
				t.Errorf("an error is more than one line: %q", errs)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		out, errs, code := tool(t, "explain", repo.Ref("1"), "--facts", v3, "-o", "json")
		var d struct {
			Choice     int `json:"choice"`
			Candidates []struct {
				Platform, Outcome string
				Rank              int
				Requirements      []struct{ Want, Have, Outcome string }
			} `json:"candidates"`
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
		}
		if d.Choice != 1 || len(d.Candidates) != 2 || d.Candidates[1].Rank != 1 || len(d.Candidates[1].Requirements) != 2 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("all", func(t *testing.T) {
		out, _, _ := tool(t, "explain", repo.Ref("1"), "--facts", v3, "--all")
		if !strings.Contains(out, "linux/arm64") {
			t.Errorf("--all does not show the entry of another platform:\n%s", out)
		}
	})
}

func TestCheckEvaluatesAFileOnThisNode(t *testing.T) {
	requireStack(t)
	facts := factsOf(t, flagsV3)
	tests := []struct {
		name, body string
		code       int
		says       string
	}{
		{"fits", `{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`, 0, "this node meets the requirements of the file"},
		{"does not fit", `{"compatibilities": {"cpu": {"target": "arm64"}}}`, 3, "cpu.archspec aarch64 (absent)"},
		{"unknown", `{"compatibilities": {"x": {"y": 1}}}`, 4, "unknown"},
		{"NFD", "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: cpu\n    matchFeatures:\n    - feature: cpu.cpuid\n" +
			"      matchExpressions:\n        AVX512F: {op: Exists}\n", 3, "cpu.cpuid AVX512F"},
		{"broken", "{\"compatibilities\": {\n  \"cpu\": {\"target\": \"arm64\",}}}", 1, "row 2, column"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "needs")
			if err := os.WriteFile(file, []byte(tt.body), 0o600); err != nil {
				t.Fatal(err)
			}
			out, errs, code := tool(t, "check", file, "--facts", facts)
			if code != tt.code || !strings.Contains(out+errs, tt.says) {
				t.Errorf("exit code %d, want %d; it says\n%s%s", code, tt.code, out, errs)
			}
			if tt.code == 1 && !strings.Contains(errs, file) {
				t.Errorf("the error does not name the file: %s", errs)
			}
		})
	}
}
