package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// packages is a manager of packages: its commands, to which a file or the package's name is added.
type packages struct {
	kind                                string
	install, upgrade, downgrade, remove []string
	purge                               []string // what is left after remove
	kept                                string   // where a changed configuration is after removal
}

func packageManagers() []packages {
	dpkg := []string{"dpkg", "--force-confold", "-i"}
	// Debian's rpm wants to be told that nothing is known of Debian's packages.
	rpm := func(args ...string) []string { return append([]string{"rpm", "--force-debian", "--nodeps"}, args...) }
	return []packages{
		{kind: "deb", install: dpkg, upgrade: dpkg, downgrade: dpkg, remove: []string{"dpkg", "-r", "imagefit"},
			purge: []string{"dpkg", "-P", "imagefit"}, kept: "/etc/imagefit/config.toml"},
		{kind: "rpm", install: rpm("-i"), upgrade: rpm("-U"), downgrade: rpm("-U", "--oldpackage"), remove: rpm("-e", "imagefit"),
			purge: []string{"rm", "-r", "/etc/imagefit"}, kept: "/etc/imagefit/config.toml.rpmsave"},
	}
}

func with(command []string, file string) []string { return slices.Concat(command, []string{file}) }

// makePackages makes the packages of versions, of the programs that are tested here, in folders of
// these names.
func makePackages(t *testing.T, kinds string, versions ...string) string {
	t.Helper()
	made := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = filepath.Join("..", "packaging")
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1764288000")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make packages: %v\n%s", err, output)
		}
	}
	run("go", "build", "-o", filepath.Join(made, "packaging"), ".")
	for _, version := range versions {
		run(filepath.Join(made, "packaging"), "-out", filepath.Join(made, version), "-version", version, "-kinds", kinds,
			"-platforms", "linux/"+runtime.GOARCH, "-programs", os.Getenv("IMAGEFIT_BIN"), "-quick")
	}
	return made
}

// files lists what there is of imagefit on the machine.
func (m *systemdNode) files(t *testing.T) string {
	t.Helper()
	return m.do(t, "sh", "-c", `find /etc /usr /var/lib /run -xdev -path /run/systemd -prune -o \
		\( -path '*imagefit*' -o -name '*cri-proxy*' -o -name '*nri-plugin*' \) -print | sort`)
}

// TestPackagesAreInstalledUpgradedAndRemoved installs the packages with a real dpkg and a real rpm under a real
// systemd. Upgrades and downgrades under load lose no call and keep the configuration; what is removed leaves
// nothing behind but the configuration, and after a purge nothing.
func TestPackagesAreInstalledUpgradedAndRemoved(t *testing.T) {
	m := newSystemdNode(t, stack.Settings{})
	m.installDropIns(t)
	m.start(t)
	made := makePackages(t, "deb,rpm", "v0.1.0-rc.1", "v0.1.0-rc.2")
	file := func(kind, version string) string {
		matches, _ := filepath.Glob(filepath.Join(made, version, "*."+kind))
		if len(matches) != 1 {
			t.Fatalf("there is not one package of %s in %s: %q", version, made, matches)
		}
		to := filepath.Join(m.fit.containerd.Dir, filepath.Base(matches[0]))
		if err := os.WriteFile(to, []byte(read(t, matches[0])), 0o600); err != nil {
			t.Fatal(err)
		}
		return to
	}
	before := m.files(t)
	for _, manager := range packageManagers() {
		t.Run(manager.kind, func(t *testing.T) {
			m.installsPackage(t, manager, file(manager.kind, "v0.1.0-rc.1"))
			m.exchangesPackage(t, manager, file(manager.kind, "v0.1.0-rc.1"), file(manager.kind, "v0.1.0-rc.2"))
			m.removesPackage(t, manager)
			if left := m.files(t); left != before {
				t.Errorf("before there was\n%s\nafter the purge there is\n%s", before, left)
			}
		})
	}
}

// installsPackage installs the package: nothing runs until it is started.
func (m *systemdNode) installsPackage(t *testing.T, manager packages, file string) {
	t.Helper()
	m.do(t, with(manager.install, file)...)
	for _, unit := range []string{"cri-proxy.socket", "nri-plugin.service"} {
		for _, command := range []string{"is-active", "is-enabled"} {
			if state, _ := m.systemd.Run(t.Context(), "systemctl", command, unit); state != "inactive" && state != "disabled" {
				t.Errorf("after installation systemctl %s %s: %s", command, unit, state)
			}
		}
	}
	if got := m.do(t, "grep", "-v", "^#", "/etc/imagefit/config.toml"); got != "version = 1" {
		t.Errorf("the first configuration is %q", got)
	}
	m.do(t, "imagefit", "config", "check")
	m.do(t, "cp", m.fit.Config, "/etc/imagefit/config.toml")
	m.do(t, "systemctl", "enable", "--now", "cri-proxy.socket", "nri-plugin.service")
}

// exchangesPackage upgrades and downgrades under load, at last with a configuration that is not valid.
func (m *systemdNode) exchangesPackage(t *testing.T, manager packages, before, after string) {
	t.Helper()
	config := read(t, m.fit.Config)
	m.fit.pull(t, m.image) // which starts cri-proxy
	c := startClients(t, m.fit, m.image, func(name string, err error) { t.Errorf("%s: %v", name, err) })
	for _, exchange := range [][]string{with(manager.upgrade, after), with(manager.downgrade, before)} {
		c.awaitCalls(t)
		pid := m.do(t, "systemctl", "show", "--value", "-p", "MainPID", "cri-proxy.service")
		m.do(t, exchange...)
		if now := m.do(t, "systemctl", "show", "--value", "-p", "MainPID", "cri-proxy.service"); now == pid {
			t.Errorf("after %q the same cri-proxy runs", exchange)
		}
	}
	c.awaitCalls(t)
	m.do(t, "sh", "-c", `echo 'nonsense = true' >>/etc/imagefit/config.toml`)
	if out := m.do(t, with(manager.upgrade, after)...); !strings.Contains(out, "nonsense") || !strings.Contains(out, "not valid for this version") {
		t.Errorf("an upgrade with an unknown key in the configuration prints %q", out)
	}
	c.awaitCalls(t)
	c.end()
	c.running.Wait()
	t.Logf("calls: %v", c.counts())
	if got := m.do(t, "cat", "/etc/imagefit/config.toml"); !strings.HasPrefix(got, strings.TrimSpace(config)) {
		t.Errorf("upgrades have changed the configuration:\n%s", got)
	}
	for _, unit := range []string{"cri-proxy", "nri-plugin"} {
		wantConfined(t, func(command ...string) string { return m.do(t, command...) }, unit)
	}
}

// removesPackage removes the package, but not while a kubelet uses it, and purges it.
func (m *systemdNode) removesPackage(t *testing.T, manager packages) {
	t.Helper()
	m.do(t, "sh", "-c", `mkdir -p /var/lib/kubelet /var/lib/imagefit/blobs && touch /var/lib/imagefit/blobs/x &&
		echo 'imageServiceEndpoint: unix:///run/imagefit/cri-proxy.sock' >/var/lib/kubelet/config.yaml`)
	if out, err := m.systemd.Run(t.Context(), manager.remove...); err == nil || !strings.Contains(out, "/var/lib/kubelet/config.yaml") {
		t.Errorf("removed while a kubelet uses it: %v: %s", err, out)
	}
	if state := m.do(t, "systemctl", "is-active", "cri-proxy.service"); state != "active" {
		t.Errorf("after the refused removal cri-proxy is %s", state)
	}
	m.do(t, "sh", "-c", `sed -i s/^/#/ /var/lib/kubelet/config.yaml`)
	m.do(t, manager.remove...)
	if state, _ := m.systemd.Run(t.Context(), "systemctl", "is-active", "cri-proxy.service"); state != "inactive" {
		t.Errorf("after removal cri-proxy is %s", state)
	}
	m.do(t, "test", "-s", manager.kept)
	m.do(t, "test", "-e", "/var/lib/imagefit/blobs/x")
	if manager.kind == "rpm" {
		m.do(t, "rm", "-r", "/var/lib/imagefit") // rpm has no purge
	}
	m.do(t, manager.purge...)
}
