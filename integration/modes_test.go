package integration

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestPodsOfDifferentModesPullAtOnce pulls one image for a pod that chose audit and for one that
// did not, at the same time and over and over. The latter always gets the best variant. The
// former gets what the runtime takes, unless the other pull ends in the middle of it: the
// runtime looks the reference up once more after a pull. Whoever was the last, the
// reference resolves to one of the two.
func TestPodsOfDifferentModesPullAtOnce(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: `mode_annotation_namespaces = ["trial"]`})
	o := f.offer(t, "app")
	pods := map[string]stack.PullOptions{
		best:  {Namespace: "trial"},
		taken: {Namespace: "trial", Annotations: map[string]string{"imagefit.io/mode": "audit"}},
	}
	var unchanged atomic.Int32
	for range 10 {
		var pulls sync.WaitGroup
		for want, pod := range pods {
			pulls.Go(func() {
				id, err := f.cri.Pull(t.Context(), o.ref, pod)
				got := o.ids[id]
				if got == taken {
					unchanged.Add(1)
				}
				if err != nil || got != want && got != best {
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
	if n := unchanged.Load(); n < 5 {
		t.Errorf("%d of 10 pulls in mode audit were answered with what the runtime takes", n)
	}
	other := stack.PullOptions{Namespace: "default", Annotations: pods[taken].Annotations}
	if id, err := f.cri.Pull(t.Context(), o.ref, other); err != nil || o.ids[id] != best {
		t.Errorf("where pods may not choose: %q, %v", o.ids[id], err)
	}
	wantID(t, f.containerd.CRI, f.pull(t, o.ref), o.ref)
}
