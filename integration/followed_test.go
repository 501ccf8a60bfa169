package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// commandsOf are the blocks of indented commands under a heading of a page, without comments.
func commandsOf(t *testing.T, page, heading string) (blocks [][]string) {
	t.Helper()
	inside, open := false, false
	for line := range strings.Lines(read(t, filepath.Join("..", page))) {
		if strings.HasPrefix(line, "#") {
			inside = strings.TrimSpace(strings.TrimLeft(line, "#")) == heading
		}
		command, isCommand := strings.CutPrefix(line, "    ")
		if !inside || !isCommand || strings.HasPrefix(command, " ") {
			open = false
			continue
		}
		if !open {
			blocks = append(blocks, nil)
		}
		command, _, _ = strings.Cut(command, " # ")
		open, blocks[len(blocks)-1] = true, append(blocks[len(blocks)-1], strings.TrimSpace(command))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no commands under %q", page, heading)
	}
	return blocks
}

// follow runs the commands of a block in a folder. Whoever runs them here is root already.
func (m *systemdNode) follow(t *testing.T, folder string, commands []string) {
	t.Helper()
	for _, command := range commands {
		command = strings.TrimPrefix(command, "sudo ")
		if command == "make build" {
			continue // that is how the programs of this test were made
		}
		out := m.do(t, "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "bash", "-c", "cd "+folder+" && "+command)
		t.Logf("%s:\n%s", command, out)
	}
}

// TestDocumentedInstallationIsFollowed does what README.md and the pages of docs say, command by command: with a release,
// and with a checkout. Only the configuration is there before, because the containerd of the tests is in a folder of its own.
func TestDocumentedInstallationIsFollowed(t *testing.T) {
	m := newSystemdNode(t, stack.Settings{})
	m.installDropIns(t)
	m.put(t, "etc/imagefit/config.toml", read(t, m.fit.Config), 0o644)
	m.put(t, "etc/containerd/config.toml", "version = 3\n", 0o644)
	release, checkout := m.unpackRelease(t), m.checkOut(t)
	m.start(t)
	before := m.files(t)
	readme := commandsOf(t, "README.md", "Install")
	if len(readme) != 2 {
		t.Fatalf("README.md has %d blocks of commands to install with: %q", len(readme), readme)
	}
	runs := func() {
		t.Helper()
		for _, unit := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
			if state := m.do(t, "systemctl", "show", "--value", "-p", "ActiveState,UnitFileState", unit); !strings.HasPrefix(state, "active") || !strings.Contains(state, "enabled") {
				t.Errorf("%s is %q", unit, state)
			}
		}
		m.fit.wantRuns(t, m.image, m.fit.pull(t, m.image), "amd64/v3")
	}

	m.follow(t, release, readme[0])
	runs()
	m.follow(t, "/", commandsOf(t, "docs/uninstall.md", "Uninstalling")[0])
	if left := m.files(t); left != before {
		t.Errorf("before there was\n%s\nafter docs/uninstall.md there is\n%s", before, left)
	}

	m.follow(t, checkout, readme[1])
	runs()
	m.follow(t, checkout, commandsOf(t, "docs/systemd.md", "Upgrade without losing a call")[0])
	runs()
	m.follow(t, checkout, commandsOf(t, "docs/systemd.md", "Uninstall")[0])
	for line := range strings.Lines(m.files(t)) {
		if !strings.Contains(before, line) {
			t.Errorf("after docs/systemd.md there still is %s", line)
		}
	}
}

// unpackRelease unpacks an archive of the programs that are tested here, and returns the folder that has them.
func (m *systemdNode) unpackRelease(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(makePackages(t, "archive", "v0.1.0-rc.1"), "v0.1.0-rc.1")
	archive := filepath.Join(folder, "imagefit-0.1.0-rc.1-linux-"+runtime.GOARCH+".tar.gz")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", m.fit.containerd.Dir, "-xzf", archive).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v\n%s", archive, err, out)
	}
	return filepath.Join(m.fit.containerd.Dir, "imagefit-0.1.0-rc.1", "bin")
}

// checkOut copies what make needs of the repository to where the machine sees it.
func (m *systemdNode) checkOut(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(m.fit.containerd.Dir, "checkout")
	for _, dir := range []string{"deploy/systemd", "deploy/images.d", "packaging/scripts"} {
		if err := os.CopyFS(filepath.Join(folder, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(folder, "bin"), os.DirFS(filepath.Dir(m.fit.Proxy.Path))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Makefile", "config.toml.example"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(read(t, filepath.Join("..", name))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
