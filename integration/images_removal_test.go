package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// What a removal leaves. The kubelet collects garbage by the id; people remove by
// any name with crictl, or with ctr, which takes one record away and no more.
func TestRemovalsLeaveWhatTheyLeaveOnContainerdAlone(t *testing.T) { keepers(t, testImagesRemoved) }

// pulledByTag is an image that was pulled by its tag, and so is there by its index.
const pulledByTag = `
	app:1 -> v3: v3, chosen from INDEX
	app@INDEX -> kept: v3
	app@v3 -> v3: v3, not listed
	id:v3 -> v3: v3`

func testImagesRemoved(t *testing.T, f *fit) {
	t.Run("CRI", func(t *testing.T) {
		s := f.newScene(t, f.cri)
		s.push(t, "1", "INDEX", "plain", "v3")
		for _, by := range []string{"id:v3", "app:1", "app@INDEX", "app:1@INDEX", "app@v3"} {
			s.pull(t, "app:1")
			s.sees(t, pulledByTag)
			s.remove(t, by)
			s.sees(t, "")
		}
		for _, by := range []string{"id:v3", "app@v3"} { // behind the proxy's back
			s.pull(t, "app:1")
			s.removeWith(t, f.containerd.CRI, by)
			s.sees(t, "")
		}
	})
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	for record, left := range map[string]string{
		"app:1": `
			app@INDEX -> kept: v3
			app@v3 -> v3: v3, not listed
			id:v3 -> v3: v3`,
		"app@v3": `
			app:1 -> v3: v3, chosen from INDEX
			app@INDEX -> kept: v3
			id:v3 -> v3: v3`,
		"id:v3": `
			app:1 -> v3: v3, chosen from INDEX
			app@INDEX -> kept: v3
			app@v3 -> v3: v3, not listed
			id:v3 -> kept: v3`, // the CRI still shows it
	} {
		if f.byProxy && record == "app:1" {
			continue // which has no record
		}
		t.Run("ctr "+record, func(t *testing.T) {
			s.pull(t, "app:1")
			s.ctrRemove(t, record)
			s.soonSees(t, left)
			s.pull(t, "app:1")
			s.sees(t, pulledByTag)
		})
	}
	t.Run("ctr one after the other", func(t *testing.T) { testOneByOne(t, f) })
}

// testOneByOne removes all records of an image.
func testOneByOne(t *testing.T, f *fit) {
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	s.ctrRemove(t, "app@v3")
	s.soonSees(t, `
		app:1 -> v3: v3, chosen from INDEX
		app@INDEX -> kept: v3
		id:v3 -> v3: v3`)
	if !f.byProxy {
		s.ctrRemove(t, "app:1")
	}
	s.ctrRemove(t, "id:v3") // and with it the names
	s.soonSees(t, "")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
}

// An image that the runtime's configuration pins by its tag is not the kubelet's
// to collect, whatever variant of it was chosen.
func TestImagePinnedByItsTagStaysPinned(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref := registry.Repo("pinned").Ref("1")
	path := filepath.Join(containerd.Dir, "config.toml")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pinned := bytes.Replace(config, []byte("  sandbox ="), fmt.Appendf(nil, "  app = %q\n  sandbox =", ref), 1)
	if err := os.WriteFile(path, pinned, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := containerd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := startFitWith(t, containerd, registry, flagsV3, stack.Settings{})
	f.push(t, "pinned", variants("amd64", "amd64/v3")...)
	f.wantRuns(t, ref, f.pull(t, ref), "amd64/v3")
	image, err := f.cri.Status(t.Context(), ref)
	if err != nil || !image.GetPinned() {
		t.Errorf("%v, %v, want it pinned", image, err)
	}
}
