package integration

import (
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
)

// containerd is killed just before the proxy calls it, for example between the pull and
// the record. Either the pull fails, and the kubelet retries, or the reference resolves
// to the variant that fits.
func TestRuntimeKilledDuringAPullLeavesNoWrongReference(t *testing.T) {
	containerd := startContainerd(t, stack.Options{})
	relay := startRecorder(t, containerd, "relay", containerd.Socket)
	f := startFitWith(t, containerd, startRegistry(t), flagsV3, stack.Settings{Runtime: relay.socket})
	all := watch(f)
	all.wantVariant(t, f.offer(t, "first"), best)
	before := all.atRest(t)
	for _, tt := range []struct {
		name, call string
		moved      bool // the reference resolves to another image before
		back       bool // containerd is back before the call continues
	}{
		{"at the pull", "/PullImage", false, false},
		{"before the record", "Images/Create", false, false},
		{"before the record, back at once", "Images/Create", false, true},
		{"before the record moves", "Images/Update", true, false},
		{"before it is looked for, back at once", "/ImageStatus", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := f.offer(t, strings.NewReplacer(" ", "-", ",", "").Replace(tt.name))
			w := watch(f, o)
			if tt.moved { // behind our back
				if _, err := containerd.CRI.Pull(t.Context(), o.ref, stack.PullOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			var killed atomic.Bool
			relay.onCall(func(method string) {
				if !strings.HasSuffix(method, tt.call) || !killed.CompareAndSwap(false, true) {
					return
				}
				err := containerd.Kill()
				if err == nil && tt.back {
					err = containerd.Start(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			})
			t.Cleanup(func() { relay.onCall(nil) })
			id, err := w.cri.Pull(t.Context(), o.ref, stack.PullOptions{})
			relay.onCall(nil)
			t.Logf("the kubelet sees %q, %v", id, err)
			if !killed.Load() {
				t.Fatalf("%s was never called", tt.call)
			}
			if !containerd.Process.Running() {
				if err == nil {
					t.Errorf("the pull says %s, and no runtime runs", id)
				} else if code := status.Code(err); code != codes.Unavailable && code != codes.Unknown {
					t.Errorf("the pull fails with %v, want what the kubelet takes for a runtime that is away", err)
				}
				if err := containerd.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			f.awaitRuntime(t)
			if err == nil {
				wantID(t, f.containerd.CRI, id, o.ref)
			}
			w.wantRecords(t)
			w.wantVariant(t, o, best)
			w.wantRun(t, o, w.pulled[o.ref])
			w.wantSound(t)
		})
	}
	all.wantNoMore(t, before)
}
