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

// install installs programs and units as make install does. Socket and state are those of the test,
// which are below /tmp.
func (f *fit) install(t *testing.T) {
	t.Helper()
	copied := map[string]string{"etc/imagefit/config.toml": f.Config}
	for _, name := range []string{"cri-proxy", "nri-plugin"} {
		copied["usr/local/bin/"+name] = filepath.Join(filepath.Dir(f.Proxy.Path), name)
	}
	for _, name := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
		copied["usr/local/lib/systemd/system/"+name] = filepath.Join("..", "deploy", "systemd", name)
	}
	files := map[string]string{"etc/systemd/system/cri-proxy.socket.d/tests.conf": "[Socket]\nListenStream=\nListenStream=" + f.Socket + "\n"}
	for _, name := range []string{"cri-proxy", "nri-plugin"} {
		files["etc/systemd/system/"+name+".service.d/tests.conf"] = fmt.Sprintf("[Service]\nPrivateTmp=no\nReadWritePaths=%s\n", f.containerd.Dir)
	}
	for to, from := range copied {
		files[to] = read(t, from)
	}
	for name, text := range files {
		path := filepath.Join(f.containerd.Installed(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "usr/local/bin/") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// The units run under a real systemd: within their sandbox and their limits, and a restart of both
// daemons loses no call.
func TestUnitsRunUnderSystemd(t *testing.T) {
	requireStack(t)
	switch required := os.Getenv("IMAGEFIT_REQUIRE_STACK") != ""; {
	case stack.HasSystemd():
	case required:
		t.Fatal("there is no systemd: peers/build.sh all installs it")
	default:
		t.Skip("there is no systemd on this machine")
	}
	containerd := startContainerd(t, stack.Options{})
	root := filepath.Join(containerd.Dir, "host") // where systemd sees it
	if err := os.CopyFS(root, os.DirFS(host(t, flagsV3))); err != nil {
		t.Fatal(err)
	}
	f := startFitOn(t, containerd, startRegistry(t), root, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.pull(t, repo.Ref("1"))
	if err := f.Proxy.Stop(drainTime); err != nil { // systemd's takes its place
		t.Fatal(err)
	}
	if err := os.Remove(f.Socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	f.install(t)
	systemd, err := f.containerd.StartSystemd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := systemd.Run(context.Background(), "journalctl", "-u", "cri-proxy", "-u", "nri-plugin", "-n", "40")
			t.Logf("the journal ends with\n%s", log)
		}
		if err := systemd.Stop(); err != nil {
			t.Error(err)
		}
	})
	do := func(command ...string) string {
		t.Helper()
		out, err := systemd.Run(t.Context(), command...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	do("systemctl", "start", "cri-proxy.socket", "nri-plugin.service")
	if state, _ := systemd.Run(t.Context(), "systemctl", "is-active", "cri-proxy.service"); state != "inactive" {
		t.Errorf("before the first call cri-proxy is %s", state)
	}
	f.pull(t, repo.Ref("1")) // which starts it
	f.registry.Inject(stack.Fault{Path: "/manifests/", Delay: aMoment})
	c := startClients(t, f, repo.Ref("1"), func(name string, err error) { t.Errorf("%s: %v", name, err) })
	for range restarts {
		c.awaitCalls(t)
		do("systemctl", "restart", "cri-proxy.service", "nri-plugin.service")
	}
	c.awaitCalls(t)
	c.end()
	c.running.Wait()
	t.Logf("calls: %v", c.counts())
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
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
