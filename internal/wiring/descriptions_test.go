package wiring_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/author/lint"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

const examples = "../../deploy/images.d"

// The example files have no mistakes, name where they have it from, and mean the images
// that they name.
func TestTheExampleDescriptionsApplyToTheirImages(t *testing.T) {
	t.Parallel()
	set, skipped, err := wiring.Descriptions(examples, testkit.Interpreter(t))
	if err != nil || len(skipped) > 0 || set.Len() == 0 {
		t.Fatalf("%d descriptions, skipped %v, %v", set.Len(), skipped, err)
	}
	files, err := filepath.Glob(examples + "/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	linter := lint.New(testkit.Specs(t))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range linter.Lint(file, text, "") {
			t.Error(finding)
		}
		if n := strings.Count(string(text), "[[image]]"); strings.Count(string(text), "\nsource = \"https://") != n {
			t.Errorf("%s: not each of %d images has a source", file, n)
		}
	}
	node := func(level string, gpus ...map[string]string) *facts.Facts {
		targets := []string{"x86_64", "x86_64_v2", "x86_64_v3"}
		return facts.New("linux", "amd64", facts.Features{
			Flags: map[string][]string{"cpu.archspec": targets[:slices.Index([]string{"1", "2", "3"}, level)+1]},
			Attributes: map[string]map[string]string{
				"kernel.version": {"full": "4.18.0"}, "kernel.config": {"DEBUG_INFO_BTF": "y"}, "gpu.nvidia": {},
			},
			Instances: map[string][]map[string]string{"gpu.device": gpus},
		})
	}
	v1, v2, v3, gpu := node("1"), node("2"), node("3"), node("3", map[string]string{"vendor": "nvidia", "driver_version": "535.113.01"})
	for _, tt := range []struct {
		repository, tag, platform string
		on                        *facts.Facts
		want                      selector.Outcome
		described                 bool
	}{
		{"docker.io/library/almalinux", "9.4", "linux/amd64", v1, selector.Unfit, true},
		{"docker.io/library/almalinux", "9.4", "linux/amd64", v2, selector.Fits, true},
		{"docker.io/library/almalinux", "10", "linux/amd64", v2, selector.Unfit, true},
		{"docker.io/library/almalinux", "10", "linux/amd64", v3, selector.Fits, true},
		{"docker.io/library/almalinux", "10", "linux/amd64/v2", v2, selector.Fits, false},
		{"docker.io/library/almalinux", "8", "linux/amd64", v1, selector.Fits, false},
		{"registry.access.redhat.com/ubi9/ubi-minimal", "latest", "linux/amd64", v1, selector.Unfit, true},
		{"registry.access.redhat.com/ubi9/ubi-minimal", "latest", "linux/arm64", v1, selector.Fits, false},
		{"quay.io/centos/centos", "stream10-minimal", "linux/amd64", v2, selector.Unfit, true},
		{"docker.io/nvidia/cuda", "12.8.1-runtime-ubuntu24.04", "linux/amd64", v3, selector.Unfit, true},
		{"docker.io/nvidia/cuda", "12.8.1-runtime-ubuntu24.04", "linux/amd64", gpu, selector.Fits, true},
		{"docker.io/nvidia/cuda", "12.8.1-devel-ubuntu24.04", "linux/amd64", v3, selector.Fits, false},
		{"nvcr.io/nvidia/cuda", "13.0.0-runtime-ubi9", "linux/amd64", gpu, selector.Fits, true},
		{"docker.io/rocm/pytorch", "latest", "linux/amd64", v3, selector.Unfit, true},
		{"quay.io/cilium/cilium", "v1.18.0", "linux/amd64", v1, selector.Fits, true},
		{"quay.io/cilium/tetragon", "v1.5.0", "linux/amd64", v1, selector.Fits, true},
	} {
		found := set.Of(description.Image{Repository: tt.repository, Tag: tt.tag, Platform: tt.platform})
		outcome := selector.Fits
		for _, d := range found {
			if d.Source == "" {
				t.Errorf("%s has no source", d.Origin())
			}
			if v := selector.Evaluate(tt.on, d.Requirements); v.Outcome != selector.Fits {
				outcome = v.Outcome
			}
		}
		if (len(found) > 0) != tt.described || outcome != tt.want {
			t.Errorf("%s:%s %s: %d descriptions, %s, want %s", tt.repository, tt.tag, tt.platform, len(found), outcome, tt.want)
		}
	}
}

func TestADescriptionWithAMistakeIsSkippedAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const good = "version = 1\n[[image]]\nrepositories = [\"a.b/c\"]\nrequires = [\"x86_64 :: level :: v3\"]\n"
	cfg := config.Default()
	cfg.Select.ImagesDir, cfg.Select.SpecsDir = dir, filepath.Join(dir, "missing")
	states := map[string]bool{wiring.RuleFiles(cfg): true}
	for name, text := range map[string]string{"20-good.toml": good, "10-bad.toml": "version = 1\n[[image]]\n", ".30-hidden.toml": "half", "README": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, skipped, err := wiring.Descriptions(dir, testkit.Interpreter(t))
	if err != nil || set.Len() != 1 || len(skipped) != 1 || !strings.Contains(skipped[0].Error(), "10-bad.toml: row 2") {
		t.Errorf("%d descriptions, skipped %v, %v", set.Len(), skipped, err)
	}
	states[wiring.RuleFiles(cfg)] = true
	if err := os.Remove(filepath.Join(dir, "20-good.toml")); err != nil {
		t.Fatal(err)
	}
	states[wiring.RuleFiles(cfg)] = true
	if len(states) != 3 {
		t.Errorf("%d states of the files, want 3", len(states))
	}
}
