package install

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// node is a service manager and a verification that tests make fail.
type node struct {
	calls []string
	fails string // what fails, the first time
}

func (n *node) call(name string) error {
	n.calls = append(n.calls, name)
	if name != n.fails {
		return nil
	}
	n.fails = ""
	return errors.New("it fails")
}

func (n *node) systemctl(_ context.Context, args ...string) error {
	return n.call(strings.Join(args, " "))
}

func (n *node) Daemons(context.Context) (string, error) { return "a note", n.call("daemons") }

func (n *node) Kubelet(_ context.Context, healthy func() error) (string, error) {
	return "", errors.Join(healthy(), n.call("kubelet"))
}

func (n *node) HandBack(context.Context, bool) (string, error) { return "names", n.call("hand back") }

func (n *node) Forget(context.Context) error { return n.call("forget") }

func (n *node) installer(t *testing.T, root string) Installer {
	return Installer{
		Root: root, Programs: release(t, "1"), Version: "v1", volatile: true,
		Systemctl: n.systemctl, Verify: n, Timeout: time.Minute, Images: n,
	}
}

func TestDaemonsAreVerifiedBeforeTheKubeletIsTouched(t *testing.T) {
	t.Parallel()
	root := unpack(t, "kubeadm")
	before := picture(t, root)
	n := &node{}
	i := n.installer(t, root)
	result, err := i.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"daemon-reload", "start imagefit-install.timer", "start cri-proxy.socket", "restart cri-proxy.service nri-plugin.service", "daemons",
		"daemon-reload", "restart kubelet.service", "is-active --quiet kubelet.service", "kubelet", "stop imagefit-install.timer", "daemon-reload",
	}
	if diff := cmp.Diff(want, n.calls); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !slices.Contains(result.Notes, "a note") {
		t.Errorf("notes: %q", result.Notes)
	}
	for path := range picture(t, root) {
		if strings.Contains(path, "imagefit-install") {
			t.Errorf("the guard left %s", path)
		}
	}
	n.calls = nil
	n.fails = "hand back" // which keeps nothing on the node
	if result, err = i.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(result.Notes) != 1 || !strings.Contains(result.Notes[0], "were not handed back") {
		t.Errorf("notes: %q", result.Notes)
	}
	want = []string{
		"hand back", "daemon-reload", "restart kubelet.service", "stop cri-proxy.socket", "stop cri-proxy.service", "stop nri-plugin.service",
		"hand back", "forget", "daemon-reload",
	}
	if diff := cmp.Diff(want, n.calls); diff != "" {
		t.Errorf("uninstall: -want +got\n%s", diff)
	}
	if diff := cmp.Diff(before, picture(t, root)); diff != "" {
		t.Error(diff)
	}
}

// Whatever fails, the node is as before, and its kubelet is restarted only if it was pointed
// at cri-proxy.
func TestInstallationThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()
	for fails, restarts := range map[string]int{
		"start imagefit-install.timer": 0, "restart cri-proxy.service nri-plugin.service": 0, "daemons": 0,
		"restart kubelet.service": 2, "is-active --quiet kubelet.service": 2, "kubelet": 2,
	} {
		root := unpack(t, "kubeadm")
		before := picture(t, root)
		n := &node{fails: fails}
		i := n.installer(t, root)
		if _, err := i.Install(t.Context()); err == nil || !strings.Contains(err.Error(), "was taken back") || !strings.Contains(err.Error(), "it fails") {
			t.Errorf("%s: %v", fails, err)
		}
		if diff := cmp.Diff(before, picture(t, root)); diff != "" {
			t.Errorf("%s: %s", fails, diff)
		}
		got := 0
		for _, call := range n.calls {
			if call == "restart kubelet.service" {
				got++
			}
		}
		if got != restarts {
			t.Errorf("%s: the kubelet was restarted %d times, want %d: %q", fails, got, restarts, n.calls)
		}
	}
}

// A guard of systemd takes back what a killed installer left, and only that.
func TestGuardTakesBackWhatIsNotFinished(t *testing.T) {
	t.Parallel()
	finished := false
	for steps := 0; !finished; steps++ {
		root := unpack(t, "kubeadm")
		before := picture(t, root)
		n := &node{}
		i := n.installer(t, root)
		killed := stopAfter(i, steps)
		_, err := killed.Install(t.Context())
		finished = err == nil
		recorded, stateErr := tree{root: root}.load()
		if stateErr != nil {
			t.Fatal(stateErr)
		}
		guard := n.installer(t, root)
		guard.Unfinished = true
		after := picture(t, root)
		if _, err := guard.Uninstall(t.Context()); err != nil {
			t.Fatalf("after %d steps: %v", steps, err)
		}
		want := before
		if recorded.Phase == installed { // killed after the last step
			want = after
		}
		if diff := cmp.Diff(want, picture(t, root)); diff != "" {
			t.Errorf("after %d steps: %s", steps, diff)
		}
	}
}
