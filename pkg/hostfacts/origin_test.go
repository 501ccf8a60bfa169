package hostfacts

import (
	"context"
	"github.com/imagefit/imagefit/pkg/facts"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestOrigins: every set that is collected says where it is from.
func TestOrigins(t *testing.T) {
	t.Parallel()
	facts := Collect(context.Background(), NewRoot("testdata/amd-zen/root"))
	for _, c := range collectors() {
		for _, set := range c.sets {
			if facts.Origin(set, "") == "" {
				t.Errorf("%s has no origin", set)
			}
		}
	}
	for set, want := range map[string]string{
		"cpu.cpuid":     "/proc/cpuinfo",
		"kernel.config": "/boot/config-3.10.0-1160.el7.x86_64",
		"pci.device":    "/sys/bus/pci/devices",
		"site.nothing":  "",
	} {
		if got := facts.Origin(set, "anything"); got != want {
			t.Errorf("%s is from %q, want %q", set, got, want)
		}
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		live := Collect(context.Background(), NewRoot("/"))
		if got := live.Origin("cpu.cpuid", "SSE2"); got != "CPUID" {
			t.Errorf("SSE2 is from %q", got)
		}
	}
}

// TestDocumented: every set that is collected, every label and what does not
// count in the fingerprint is in the user's documentation.
func TestDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/facts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range collectors() {
		for _, set := range c.sets {
			if !strings.Contains(string(text), "`"+set+"`") {
				t.Errorf("docs/facts.md does not name the set %s", set)
			}
		}
	}
	for _, label := range facts.LabelPatterns() {
		if family, _, _ := strings.Cut(label, "*"); !strings.Contains(string(text), "`"+family) {
			t.Errorf("docs/facts.md does not name the label %s", label)
		}
	}
	_, last, _ := strings.Cut(string(text), "## The fingerprint")
	for _, set := range facts.VolatileSets() {
		if !strings.Contains(last, "| `"+set+"` |") {
			t.Errorf("docs/facts.md does not say what of %s does not count", set)
		}
	}
}
