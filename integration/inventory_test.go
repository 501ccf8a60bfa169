package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// The plugin needs no proxy: what images of the node need that were pulled
// without it is looked up when the plugin starts, and when an image comes.
func TestPluginWorksWithoutAProxy(t *testing.T) {
	testPluginWithoutProxy(t, startFit(t, flagsV3, stack.Settings{}))
}

func testPluginWithoutProxy(t *testing.T, f *fit) {
	if err := f.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	pull := func(name string) (ref, id string) {
		repo, _, manifests := f.push(t, name, variants("amd64", "amd64/v3")...)
		needs(t, repo, manifests[0], `"cpu-cpuid.AMXINT8": true`)
		id, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return repo.Ref("1"), id
	}
	refused := func(ref, id string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(f.Plugin.Tail(1000), `cri-proxy" reference=`+ref); {
			if time.Now().After(deadline) {
				t.Fatalf("%s was not looked up", ref)
			}
			time.Sleep(50 * time.Millisecond)
		}
		sentence := "imagefit: " + ref + " does not fit this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent)"
		_, err := run(t.Context(), f.containerd.CRI, ref, stack.PodOptions{ImageRef: id})
		if err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("create: %v\nwant %s", err, sentence)
		}
	}
	before, id := pull("before")
	f.startPlugin(t)
	refused(before, id)
	after, id := pull("after")
	refused(after, id)

	repo, _, _ := f.push(t, "harmless", variants("amd64")...)
	id, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), f.containerd.CRI, repo.Ref("1"), stack.PodOptions{ImageRef: id}); err != nil {
		t.Error(err)
	}
}
