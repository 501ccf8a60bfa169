package integration

import (
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// Proxy, containerd and kubelet restart, each in the middle of a pull. The pulls
// come right by themselves, and no container that ran ends.
func testRestartsInTheMiddle(t *testing.T, n *node) {
	before := map[string]stack.PodStatus{}
	for _, name := range []string{"absent-ifnotpresent", "absent-always", "absent-nonroot", "present-never"} {
		before[name] = n.await(t, name, running)
	}
	restarts := []struct {
		name    string
		restart func() error
	}{
		{"proxy-killed", func() error {
			if err := n.Proxy.Kill(); err != nil {
				return err
			}
			return n.StartProxy(t.Context())
		}},
		{"containerd-killed", func() error {
			sessions := n.PluginSessions()
			if err := n.containerd.Kill(); err != nil {
				return err
			}
			if err := n.containerd.Start(t.Context()); err != nil {
				return err
			}
			return n.AwaitPlugin(t.Context(), sessions)
		}},
		// Last: with it the kubelet forgets that it is waiting to try again.
		{"kubelet-restarted", func() error { return n.kubelet.Restart(t.Context()) }},
	}
	for _, r := range restarts {
		image := n.image(t, n.registry, r.name)
		remove := n.registry.Inject(stack.Fault{Path: "/" + r.name + "/blobs/", Delay: time.Second})
		n.add(t, image, stack.StaticPod{PullPolicy: "IfNotPresent"})
		n.awaitRequest(t, "/"+r.name+"/blobs/")
		if err := r.restart(); err != nil {
			t.Fatal(err)
		}
		remove()
	}
	for _, r := range restarts {
		n.wantPod(t, r.name, n.app[r.name], "amd64/v3")
	}
	n.wantRecordsHold(t)
	for name, was := range before {
		if now := n.await(t, name, running); now.Container != was.Container || now.Restarts != was.Restarts {
			t.Errorf("pod %s was lost: it was %s in %s, is %s in %s", name, was, was.Container, now, now.Container)
		}
	}
}

// awaitRequest waits until the registry gets a request for the path.
func (n *node) awaitRequest(t *testing.T, path string) {
	t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	for n.registry.Count("GET", path) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("no request for %s", path)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
