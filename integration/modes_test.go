package integration

import (
	"sync"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestPodsOfDifferentModesPullAtOnce pulls one image for a pod that chose audit and for one that
// did not, at the same time and over and over. Each gets what its mode says, and
// whoever was the last, the reference resolves to one of the two.
func TestPodsOfDifferentModesPullAtOnce(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: `mode_annotation_namespaces = ["trial"]`})
	o := f.offer(t, "app")
	pods := map[string]stack.PullOptions{
		best:  {Namespace: "trial"},
		taken: {Namespace: "trial", Annotations: map[string]string{"imagefit.io/mode": "audit"}},
	}
	for range 10 {
		var pulls sync.WaitGroup
		for want, pod := range pods {
			pulls.Go(func() {
				id, err := f.cri.Pull(t.Context(), o.ref, pod)
				if got := o.ids[id]; err != nil || got != want {
					t.Errorf("pulled %q, %v, want %s", got, err, want)
				}
			})
		}
		pulls.Wait()
		image, err := f.cri.Status(t.Context(), o.ref)
		if got := o.ids[image.GetId()]; err != nil || got != best && got != taken {
			t.Fatalf("the reference resolves to %q, %v", image.GetId(), err)
		}
	}
	other := stack.PullOptions{Namespace: "default", Annotations: pods[taken].Annotations}
	if id, err := f.cri.Pull(t.Context(), o.ref, other); err != nil || o.ids[id] != best {
		t.Errorf("where pods may not choose: %q, %v", o.ids[id], err)
	}
	wantID(t, f.containerd.CRI, f.pull(t, o.ref), o.ref)
}
