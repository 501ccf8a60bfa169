package integration

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// The stack shares the machine with whatever else runs there, Docker or k3s, and
// looks only at what is its own. These tests prove that it keeps to its folder, and
// that it sees what is left in it and around it.

// readOnly are the paths outside the work folder in containerd's configuration that
// it only reads, or never uses: its own plugins and tools, CDI, blockio, apparmor.
var readOnly = regexp.MustCompile(`^/(etc|usr|proc|sys|var/run/cdi|run/cdi|lib/modules)(/|$)`)

func TestEveryPathOfContainerdLiesInItsFolder(t *testing.T) {
	for _, version := range stack.Versions() {
		t.Run(version, func(t *testing.T) {
			if testing.Short() && version != stack.Versions()[0] {
				t.Skip("-short: one version of containerd only")
			}
			containerd := startContainerd(t, stack.Options{Version: version})
			dump := exec.CommandContext(t.Context(), containerd.Process.Path, "--config", filepath.Join(containerd.Dir, "config.toml"), "config", "dump")
			text, err := dump.Output()
			if err != nil {
				t.Fatal(err)
			}
			paths := regexp.MustCompile(`['"](?:unix://)?(/[^'"]+)['"]`).FindAllStringSubmatch(string(text), -1)
			if len(paths) < 5 {
				t.Fatalf("hardly any path in\n%s", text)
			}
			for _, path := range paths {
				if !strings.HasPrefix(path[1], containerd.Dir+"/") && !readOnly.MatchString(path[1]) {
					t.Errorf("containerd %s uses %s", version, path[1])
				}
			}
		})
	}
}

// wantNothingOutside checks what the daemons hold while a pod runs. The sockets of
// its shims cannot be moved in containerd before 2.3.
func wantNothingOutside(t *testing.T, dir, version string) {
	t.Helper()
	held := slices.DeleteFunc(stack.Outside(dir), func(what string) bool {
		return version < stack.Containerd23 && strings.HasPrefix(what, "/run/containerd/s/")
	})
	if len(held) > 0 {
		t.Errorf("held outside the work folder:\n%s", strings.Join(held, "\n"))
	}
}
