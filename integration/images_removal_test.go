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
func TestRemovalsLeaveWhatTheyLeaveOnContainerdAlone(t *testing.T) {
	testImagesRemoved(t, startFit(t, flagsV3, stack.Settings{}))
}

// pulledByTag is an image that was pulled by its tag, and so is there by its index.
const pulledByTag = `
	app:1 -> v3: v3, chosen from INDEX
	app@INDEX -> v3: v3, chosen from INDEX
	app@v3 -> v3: v3
	id:v3 -> v3: v3`

func testImagesRemoved(t *testing.T, f *fit) {
	t.Run("CRI", func(t *testing.T) {
		s := f.newScene(t, f.cri)
		s.push(t, "1", "INDEX", "plain", "v3")
		for _, client := range []*stack.CRI{f.cri, f.containerd.CRI} { // also behind the proxy's back
			for _, by := range []string{"id:v3", "app:1", "app@INDEX", "app:1@INDEX", "app@v3"} {
				s.pull(t, "app:1")
				s.sees(t, pulledByTag)
				s.removeWith(t, client, by)
				s.sees(t, "")
			}
		}
	})
	s := f.newScene(t, f.cri)
	s.push(t, "1", "INDEX", "plain", "v3")
	for _, tt := range []struct{ record, left string }{
		{"app:1", `
			app@INDEX -> v3: v3, chosen from INDEX
			app@v3 -> v3: v3
			id:v3 -> v3: v3`},
		{"app@INDEX", `
			app:1 -> v3: v3, chosen from INDEX
			app@v3 -> v3: v3
			id:v3 -> v3: v3`},
		{"app@v3", `
			app:1 -> v3: v3, chosen from INDEX
			app@INDEX -> v3: v3, chosen from INDEX
			id:v3 -> v3: v3`},
		{"id:v3", `
			app:1 -> v3: v3, chosen from INDEX
			app@INDEX -> v3: v3, chosen from INDEX
			app@v3 -> v3: v3
			id:v3 -> no record: v3`},
	} {
		t.Run("ctr "+tt.record, func(t *testing.T) {
			s.pull(t, "app:1")
			s.ctrRemove(t, tt.record)
			s.soonSees(t, tt.left)
			s.pull(t, "app:1")
			s.sees(t, pulledByTag)
		})
	}
	t.Run("ctr one after the other", func(t *testing.T) { f.play(t, oneByOne) })
}

func oneByOne(t *testing.T, s *scene) {
	s.push(t, "1", "INDEX", "plain", "v3")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	s.ctrRemove(t, "app@INDEX")
	s.soonSees(t, `
		app:1 -> v3: v3, chosen from INDEX
		app@v3 -> v3: v3
		id:v3 -> v3: v3`)
	s.ctrRemoveOurs(t, "app@v3")
	s.soonSees(t, `
		app:1 -> v3: v3, chosen from INDEX
		id:v3 -> v3: v3`)
	s.ctrRemove(t, "id:"+s.own("v3", "plain"))
	s.soonSees(t, `
		app:1 -> v3: v3, chosen from INDEX
		id:v3 -> no record: v3`)
	s.ctrRemove(t, "app:1")
	s.soonSees(t, "")
	s.pull(t, "app:1")
	s.sees(t, pulledByTag)
	s.ctrRemove(t, "app:1") // and in another order
	s.soonSees(t, `
		app@INDEX -> v3: v3, chosen from INDEX
		app@v3 -> v3: v3
		id:v3 -> v3: v3`)
	s.ctrRemove(t, "app@INDEX")
	s.soonSees(t, `
		app@v3 -> v3: v3
		id:v3 -> v3: v3`)
	s.ctrRemove(t, "id:"+s.own("v3", "plain"))
	s.ctrRemoveOurs(t, "app@v3")
	s.soonSees(t, "")
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
