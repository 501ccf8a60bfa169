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

// installHost is a machine with a real systemd and a containerd, on which imagefit is installed.
type installHost struct {
	containerd *stack.Containerd
	systemd    *stack.Systemd
	tool       string // imagefit of a release
}

// requireSystemd leaves a test out where there is none, or fails it where all is required.
func requireSystemd(t *testing.T) {
	t.Helper()
	requireStack(t)
	switch required := os.Getenv("IMAGEFIT_REQUIRE_STACK") != ""; {
	case stack.HasSystemd():
	case required:
		t.Fatal("there is no systemd: peers/build.sh all installs it")
	default:
		t.Skip("there is no systemd on this machine")
	}
}

// start starts the machine. Files are laid into it by their path, beside a release.
func (h *installHost) start(t *testing.T, files map[string]string) {
	t.Helper()
	bin, err := stack.Binaries(t.Context(), filepath.Join(h.containerd.Dir, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	release := filepath.Join(h.containerd.Dir, "release") // which systemd sees
	h.tool = filepath.Join(release, "imagefit")
	laid := map[string]string{}
	for _, name := range []string{"cri-proxy", "nri-plugin", "imagefit"} {
		laid[filepath.Join(release, name)] = read(t, filepath.Join(bin, name))
	}
	for _, unit := range []string{"cri-proxy", "nri-plugin"} { // the containerd is below /tmp
		files["/etc/systemd/system/"+unit+".service.d/tests.conf"] = "[Service]\nPrivateTmp=no\n"
	}
	for path, text := range files {
		laid[filepath.Join(h.containerd.Installed(), path)] = text
	}
	for path, text := range laid {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if h.systemd, err = h.containerd.StartSystemd(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := h.systemd.Run(context.Background(), "journalctl", "-u", "cri-proxy", "-u", "nri-plugin", "-n", "60", "--no-hostname")
			t.Logf("the journal ends with\n%s", log)
		}
		if err := h.systemd.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// configuration is imagefit's, in front of this containerd.
func (h *installHost) configuration(socket string) string {
	return fmt.Sprintf("version = 1\nruntime = {endpoint = \"unix://%s\", config = %q}\nnri.socket = %q\n"+
		"proxy.http_listen = \"unix:///run/imagefit/proxy.http\"\nnri.http_listen = \"unix:///run/imagefit/plugin.http\"\n",
		socket, filepath.Join(h.containerd.Dir, "config.toml"), h.containerd.NRISocket)
}

func (h *installHost) do(t *testing.T, command ...string) string {
	t.Helper()
	out, err := h.systemd.Run(t.Context(), command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// picture is what lies where an installation writes.
func (h *installHost) picture(t *testing.T) string {
	t.Helper()
	return h.do(t, "bash", "-c", `cd / && find etc/systemd etc/imagefit etc/kubernetes usr/local/bin var/lib/imagefit `+
		`-printf '%p %m %l\n' 2>/dev/null | sort; find etc/systemd etc/imagefit etc/kubernetes -type f 2>/dev/null | sort | xargs sha256sum`)
}

// TestInstallerProvesItselfUnderSystemd installs, fails and is killed on a real systemd with a real
// containerd, and leaves nothing.
func TestInstallerProvesItselfUnderSystemd(t *testing.T) {
	requireSystemd(t)
	h := &installHost{containerd: startContainerd(t, stack.Options{})}
	h.start(t, map[string]string{"/etc/imagefit/config.toml": h.configuration(h.containerd.Socket)})
	before := h.picture(t)
	wantGone := func(when string) {
		t.Helper()
		if after := h.picture(t); after != before {
			t.Errorf("%s the machine is not as before:\n%s\nbefore:\n%s", when, after, before)
		}
	}

	install := []string{h.tool, "install", "--platform", "containerd"}
	if got := h.do(t, install...); !strings.Contains(got, "installed on containerd") || strings.Contains(got, "not verified") {
		t.Errorf("install says %s", got)
	}
	for _, unit := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
		if state := h.do(t, "systemctl", "show", "--value", "-p", "ActiveState,UnitFileState", unit); !strings.Contains(state, "active") || !strings.Contains(state, "enabled") {
			t.Errorf("%s is %q", unit, state)
		}
	}
	if got := h.do(t, install...); got != "nothing to change" {
		t.Errorf("the second install says %s", got)
	}
	h.do(t, "/usr/local/bin/imagefit", "uninstall")
	wantGone("uninstalled,")

	h.do(t, "bash", "-c", "sed -i 's|endpoint = .[^,]*|endpoint = \"unix:///run/none.sock\"|' /etc/imagefit/config.toml")
	before = h.picture(t)
	out, err := h.systemd.Run(t.Context(), append(install, "--timeout", "2s")...)
	if err == nil || !strings.Contains(out, "was taken back") {
		t.Errorf("install without a runtime: %v, %s", err, out)
	}
	wantGone("taken back,")

	h.do(t, "systemd-run", "--unit=installer", "--property=KillMode=process", h.tool, "install", "--platform", "containerd", "--timeout", "1h")
	awaitText(t, func() string {
		state, _ := h.systemd.Run(t.Context(), "systemctl", "is-active", "imagefit-install.timer", "nri-plugin.service")
		return state
	}, func(state string) bool { return state == "active\nactive" })
	h.do(t, "systemctl", "kill", "--signal=KILL", "installer.service")
	awaitText(t, func() string {
		state, _ := h.systemd.Run(t.Context(), "systemctl", "is-active", "installer.service")
		return state
	}, func(state string) bool { return state != "active" })
	h.do(t, "systemctl", "start", "imagefit-install.service") // as its timer does
	wantGone("after the installer was killed,")
	h.losesPower(t, wantGone)
}

// losesPower reboots the machine in the middle of an installation: the timer that guards it comes with the boot.
func (h *installHost) losesPower(t *testing.T, wantGone func(when string)) {
	t.Helper()
	h.do(t, "systemd-run", "--unit=second-installer", h.tool, "install", "--platform", "containerd", "--timeout", "1h")
	awaitText(t, func() string {
		state, _ := h.systemd.Run(t.Context(), "systemctl", "is-active", "imagefit-install.timer", "nri-plugin.service")
		return state
	}, func(state string) bool { return state == "active\nactive" })
	// Which is 15 minutes otherwise.
	h.do(t, "bash", "-c", `folder=/etc/systemd/system/imagefit-install.timer.d && mkdir $folder &&
		printf '[Timer]\nOnActiveSec=\nOnActiveSec=1s\n' >$folder/tests.conf`)
	if err := h.systemd.CutPower(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.do(t, "test", "-e", "/var/lib/imagefit/install.json")
	h.do(t, "systemctl", "start", "timers.target") // as each boot does
	awaitText(t, func() string {
		state, _ := h.systemd.Run(t.Context(), "sh", "-c",
			"test -e /var/lib/imagefit/install.json && echo there || echo gone; systemctl show --value -p ActiveState imagefit-install.service")
		return state
	}, func(state string) bool {
		return strings.HasSuffix(state, "gone\ninactive")
	})
	h.do(t, "rm", "-r", "/etc/systemd/system/imagefit-install.timer.d")
	wantGone("after the power was cut,")
}

// TestInstallerPointsAKubeletAtTheProxy on a real systemd with a real kubelet, and takes it back: by
// itself where the kubelet does not start, and when it is told to.
func TestInstallerPointsAKubeletAtTheProxy(t *testing.T) {
	requireSystemd(t)
	requireKubelet(t)
	h := &installHost{containerd: startContainerd(t, stack.Options{})}
	kubelet, err := stack.NewKubelet(t.Context(), h.containerd, stack.KubeletOptions{Config: map[string]any{
		"cgroupRoot": "", "cgroupsPerQOS": false, "enforceNodeAllocatable": []string{"none"}, // it is in a namespace of cgroups
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kubelet.Stop(); err != nil {
			t.Error(err)
		}
	})
	command := strings.Join(append([]string{kubelet.Process.Path}, kubelet.Process.Args...), " ")
	h.start(t, map[string]string{
		"/etc/imagefit/config.toml": h.configuration(h.containerd.Socket),
		"/etc/systemd/system/kubelet.service": "[Service]\nEnvironment=HOME=" + kubelet.Dir + "\nExecStart=" + command + "\n" +
			"Restart=always\nRestartSec=1\nTemporaryFileSystem=/var/lib/kubelet\n",
	})
	before := h.picture(t)
	h.do(t, "systemctl", "start", "kubelet.service")
	install := []string{h.tool, "install", "--platform", "kubelet", "--timeout", "40s"}
	if got := h.do(t, install...); !strings.Contains(got, "installed on kubelet") || strings.Contains(got, "not verified") {
		t.Errorf("install says %s", got)
	}
	if got := h.do(t, "systemctl", "show", "--value", "-p", "ExecStart", "kubelet.service"); !strings.Contains(got, "--config-dir=/etc/kubernetes/kubelet.conf.d") {
		t.Errorf("the kubelet is started by %s", got)
	}
	doctor, _ := h.systemd.Run(t.Context(), "/usr/local/bin/imagefit", "doctor")
	if !strings.Contains(doctor, "it pulls through cri-proxy") || !strings.Contains(doctor, "on kubelet, unchanged") {
		t.Errorf("doctor says\n%s", doctor)
	}
	h.do(t, "/usr/local/bin/imagefit", "uninstall")
	if after := h.picture(t); after != before {
		t.Errorf("it is not as before:\n%s\nbefore:\n%s", after, before)
	}
	h.wantKubelet(t)
	h.removesPackage(t)
}

func (h *installHost) wantKubelet(t *testing.T) {
	t.Helper()
	if state := h.do(t, "systemctl", "is-active", "kubelet.service"); state != "active" {
		t.Errorf("the kubelet is %s", state)
	}
	if got := h.do(t, "systemctl", "show", "--value", "-p", "ExecStart", "kubelet.service"); strings.Contains(got, "--config-dir") {
		t.Errorf("the kubelet is started by %s", got)
	}
}

// removesPackage removes the package under whose programs imagefit install pointed the kubelet at cri-proxy: that is
// taken back first, unless someone else changed what it wrote.
func (h *installHost) removesPackage(t *testing.T) {
	t.Helper()
	made, _ := filepath.Glob(filepath.Join(makePackages(t, "deb", "v0.1.0-rc.1"), "v0.1.0-rc.1", "*.deb"))
	if len(made) != 1 {
		t.Fatalf("packages: %q", made)
	}
	deb := filepath.Join(h.containerd.Dir, "imagefit.deb")
	if err := os.WriteFile(deb, []byte(read(t, made[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	units := func() string {
		return h.do(t, "bash", "-c", "cd / && find etc/systemd etc/kubernetes usr/lib/systemd -name '*imagefit*' -o -name 'cri-proxy*' -o -name 'nri-plugin*' | grep -v tests.conf | sort")
	}
	before := units()
	h.do(t, "dpkg", "--force-confold", "-i", deb)
	h.do(t, "imagefit", "install", "--platform", "kubelet", "--timeout", "40s")
	const dropIn = "/etc/kubernetes/kubelet.conf.d/90-imagefit.conf"
	h.do(t, "sh", "-c", "echo '# mine' >>"+dropIn)
	if out, err := h.systemd.Run(t.Context(), "dpkg", "-r", "imagefit"); err == nil || !strings.Contains(out, "+# mine") {
		t.Errorf("removed with a changed file: %v: %s", err, out)
	}
	if state := h.do(t, "systemctl", "is-active", "cri-proxy.service"); state != "active" {
		t.Errorf("after the refused removal cri-proxy is %s", state)
	}
	h.do(t, "sed", "-i", "/# mine/d", dropIn)
	h.do(t, "dpkg", "-r", "imagefit")
	if left := units(); left != before {
		t.Errorf("left are\n%s\nbefore\n%s", left, before)
	}
	h.wantKubelet(t)
}
