package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

const milan = "../../pkg/hostfacts/testdata/hosts/vm-milan.json"

// explain shows what the operator states, with its origin and source; match and audit go by it.
func TestExplainShowsWhatTheOperatorStates(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	repository := strings.TrimSuffix(s.Reference(":1"), ":1")
	file := write(t, "cilium.toml", "version = 1\n[[image]]\nsource = \"https://docs.example\"\nrepositories = [\""+strings.ReplaceAll(repository, ":", "*")+"\"]\n"+
		"requires = [\"oci :: oci.kernel.versions :: >=99\"]\n")
	_, config := nodeDir(t, "select.images_dir = \""+filepath.Dir(file)+"\"")
	got := tool(t, "", "--config", config, "explain", s.Reference(":1"), "--facts", milan)
	if got.err != cli.ExitError(3) {
		t.Errorf("%v: %s", got.err, got.stderr)
	}
	for _, want := range []string{"kernel.version >= 99 [" + file + ":2]", file + ":2 adds to what the author states (source: https://docs.example)", "stated in " + file + ":2"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	list := write(t, "images.txt", s.Reference(":1")+"\n")
	for _, line := range []string{"match --nodes " + milan + " --images " + list, "audit --facts " + milan + " --images " + list} {
		got := tool(t, "", append(strings.Fields(line), "--config", config)...)
		if !strings.Contains(got.stdout, "kernel.version >= 99") {
			t.Errorf("%s: %v\n%s%s", line, got.err, got.stdout, got.stderr)
		}
	}
}

func TestCheckAndLintReadDescriptionsOfImages(t *testing.T) {
	t.Parallel()
	const head = "version = 1\n[[image]]\nrepositories = [\"a.b/c\"]\n"
	good := write(t, "good.toml", head+"requires = [\"x86_64 :: level :: v3\"]\n"+head[len("version = 1\n"):]+"requires = [\"oci :: oci.kernel.versions :: >=99\"]\n")
	got := tool(t, "", "check", good, "--facts", milan)
	if !errors.Is(got.err, cli.ExitError(3)) || !strings.Contains(got.stdout, "row 2") || !strings.Contains(got.stdout, "row 5") || !strings.Contains(got.stdout, "does not meet all") {
		t.Errorf("check: %v\n%s", got.err, got.stdout)
	}
	if out := toolOK(t, "lint", good); out != "" {
		t.Errorf("lint of a good file: %s", out)
	}
	bad := write(t, "bad.toml", head+"requires = [\"nfd :: cpu-cpuid.AVX22 :: true\"]\nbody = '''\ncompatibilities:\n- rules:\n  - name: x\n    matchFeatures:\n"+
		"    - feature: cpu.model\n      matchExpressions: {vendor_id: {op: In, value: [Amd]}}\nversion: v1alpha1\n'''\n")
	out := tool(t, "", "lint", bad).stdout
	for _, want := range []string{":4:1: error: no CPU has the flag \"AVX22\"", ":11:54: error: no node has cpu.model vendor_id=\"Amd\"; expected AMD"} {
		if !strings.Contains(out, want) {
			t.Errorf("lint: %q is not in\n%s", want, out)
		}
	}
	wantError(t, tool(t, "", "check", write(t, "x.toml", head), "--facts", milan).err, "x.toml: row 2", "nothing is required")
	if out := tool(t, "", "lint", write(t, "y.toml", head+"tag = [\"1\"]\n")).stdout; !strings.Contains(out, "y.toml:4:1: error: unknown key image.tag (is image.tags meant?) [shape]") {
		t.Errorf("lint of a wrong key: %s", out)
	}
}
