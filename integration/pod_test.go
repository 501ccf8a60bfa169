package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestPodSetsItsNodeUp from a mount namespace of its own, as a privileged pod has it, where the folders of the node that it
// writes are others: it installs on the node, and takes it off again.
func TestPodSetsItsNodeUp(t *testing.T) {
	requireSystemd(t)
	h := &installHost{containerd: startContainerd(t, stack.Options{})}
	bin, err := stack.Binaries(t.Context(), filepath.Join(h.containerd.Dir, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	h.start(t, map[string]string{
		"/etc/imagefit/config.toml": h.configuration(h.containerd.Socket), "/etc/containerd/config.toml": "version = 3\n",
		"/opt/pod/imagefit-controller": read(t, filepath.Join(bin, "imagefit-controller")), "/host/var/lib/none": "",
	})
	before := h.picture(t)
	run := func(name string, args ...string) {
		t.Helper()
		log := filepath.Join(h.containerd.Dir, name+".log")
		h.do(t, append([]string{
			"systemd-run", "--unit=" + name, "--property=PrivateMounts=yes", "--property=TemporaryFileSystem=/usr/local/bin /etc/systemd/system",
			"--property=BindPaths=/var/lib:/host/var/lib", "--property=StandardError=file:" + log,
			"/opt/pod/imagefit-controller", "install-node", "--pod", name, "--programs", filepath.Dir(h.tool), "--listen", "unix:///run/" + name + ".sock",
		}, args...)...)
		awaitText(t, func() string {
			text, _ := os.ReadFile(log)
			state, _ := h.systemd.Run(t.Context(), "systemctl", "is-active", name)
			return state + "\n" + string(text)
		}, func(text string) bool {
			if !strings.HasPrefix(text, "active") {
				t.Fatalf("%s ended:\n%s", name, text)
			}
			return strings.Contains(text, "the node is done")
		})
		h.do(t, "systemctl", "stop", name)
	}
	run("install-pod", "--parallel", "0")
	for _, unit := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
		if state := h.do(t, "systemctl", "is-active", unit); state != "active" {
			t.Errorf("%s is %s", unit, state)
		}
	}
	h.do(t, "test", "-x", "/usr/local/bin/cri-proxy")
	run("install-again", "--parallel", "0")
	run("remove-pod", "--remove")
	if after := h.picture(t); after != before {
		t.Errorf("it is not as before:\n%s\nbefore:\n%s", after, before)
	}
}
