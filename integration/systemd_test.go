package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// restarts is how often systemd restarts both daemons under their clients.
const restarts = 5

// systemdNode is a machine with a systemd of its own, whose units serve the clients of a fit.
type systemdNode struct {
	fit     *fit
	image   string
	systemd *stack.Systemd
}

// put has a file installed on the machine that start starts.
func (m *systemdNode) put(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(m.fit.containerd.Installed(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// start starts the systemd until the test ends.
func (m *systemdNode) start(t *testing.T) {
	t.Helper()
	var err error
	if m.systemd, err = m.fit.containerd.StartSystemd(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := m.systemd.Run(context.Background(), "journalctl", "-u", "cri-proxy", "-u", "nri-plugin", "-n", "40")
			t.Logf("the journal ends with\n%s", log)
		}
		if err := m.systemd.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// do runs a command on the machine and returns what it prints.
func (m *systemdNode) do(t *testing.T, command ...string) string {
	t.Helper()
	out, err := m.systemd.Run(t.Context(), command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install installs programs and units as make install does.
func (m *systemdNode) install(t *testing.T) {
	t.Helper()
	m.installDropIns(t)
	m.put(t, "etc/imagefit/config.toml", read(t, m.fit.Config), 0o644)
	for _, name := range []string{"cri-proxy", "nri-plugin"} {
		m.put(t, "usr/local/bin/"+name, read(t, filepath.Join(filepath.Dir(m.fit.Proxy.Path), name)), 0o755)
	}
	for _, name := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
		m.put(t, "usr/local/lib/systemd/system/"+name, read(t, filepath.Join("..", "deploy", "systemd", name)), 0o644)
	}
}

// installDropIns gives the units socket and state of the test, which are below /tmp.
func (m *systemdNode) installDropIns(t *testing.T) {
	t.Helper()
	m.put(t, "etc/systemd/system/cri-proxy.socket.d/tests.conf", "[Socket]\nListenStream=\nListenStream="+m.fit.Socket+"\n", 0o644)
	for _, name := range []string{"cri-proxy", "nri-plugin"} {
		m.put(t, "etc/systemd/system/"+name+".service.d/tests.conf",
			fmt.Sprintf("[Service]\nPrivateTmp=no\nReadWritePaths=%s\n", m.fit.containerd.Dir), 0o644)
	}
}

// newSystemdNode is one with a containerd, a registry and an image, and without imagefit.
func newSystemdNode(t *testing.T, settings stack.Settings) *systemdNode {
	t.Helper()
	requireSystemd(t)
	containerd := startContainerd(t, stack.Options{})
	root := filepath.Join(containerd.Dir, "host") // where systemd sees it
	if err := os.CopyFS(root, os.DirFS(host(t, flagsV3))); err != nil {
		t.Fatal(err)
	}
	m := &systemdNode{fit: startFitOn(t, containerd, startRegistry(t), root, settings)}
	repo, _, _ := m.fit.push(t, "app", variants("amd64", "amd64/v3")...)
	m.image = repo.Ref("1")
	m.fit.pull(t, m.image)
	if err := m.fit.Proxy.Stop(drainTime); err != nil { // systemd's takes its place
		t.Fatal(err)
	}
	if err := os.Remove(m.fit.Socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return m
}

// The units run under a real systemd: within their sandbox and their limits, and a restart of both
// daemons loses no call.
func TestUnitsRunUnderSystemd(t *testing.T) {
	m := newSystemdNode(t, stack.Settings{})
	f := m.fit
	m.install(t)
	m.start(t)
	do := func(command ...string) string {
		t.Helper()
		return m.do(t, command...)
	}
	do("systemctl", "start", "cri-proxy.socket", "nri-plugin.service")
	if state, _ := m.systemd.Run(t.Context(), "systemctl", "is-active", "cri-proxy.service"); state != "inactive" {
		t.Errorf("before the first call cri-proxy is %s", state)
	}
	f.pull(t, m.image) // which starts it
	f.registry.Inject(stack.Fault{Path: "/manifests/", Delay: aMoment})
	c := startClients(t, f, m.image, func(name string, err error) { t.Errorf("%s: %v", name, err) })
	for range restarts {
		c.awaitCalls(t)
		do("systemctl", "restart", "cri-proxy.service", "nri-plugin.service")
	}
	c.awaitCalls(t)
	c.end()
	c.running.Wait()
	t.Logf("calls: %v", c.counts())
	f.wantRuns(t, m.image, f.pull(t, m.image), "amd64/v3")
	for _, unit := range []string{"cri-proxy", "nri-plugin"} {
		wantConfined(t, do, unit)
	}
	var units []string
	for _, name := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
		units = append(units, "/usr/local/lib/systemd/system/"+name)
	}
	if problems := do(append([]string{"systemd-analyze", "verify"}, units...)...); problems != "" {
		t.Errorf("systemd-analyze verify: %s", problems)
	}
}

// wantConfined checks that a daemon runs, was never restarted by itself, and has the limits of its unit.
func wantConfined(t *testing.T, do func(command ...string) string, unit string) {
	t.Helper()
	show := func(property string) string {
		return do("systemctl", "show", "--value", "-p", property, unit+".service")
	}
	for property, want := range map[string]string{
		"ActiveState": "active", "NRestarts": "0", "Result": "success",
		"MemoryHigh": "402653184", "MemoryMax": "536870912", "OOMScoreAdjust": "-999",
	} {
		if got := show(property); got != want {
			t.Errorf("%s of %s is %s, want %s", property, unit, got, want)
		}
	}
	status := do("cat", "/proc/"+show("MainPID")+"/status")
	for _, line := range []string{"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, line) {
			t.Errorf("%s runs without %q:\n%s", unit, line, status)
		}
	}
}
