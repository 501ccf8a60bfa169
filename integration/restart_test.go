package integration

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

func TestProxyStartsBeforeContainerd(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	if err := f.containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	if err := f.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.cri.List(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("without a runtime: %v, want Unavailable", err)
	}
	if err := f.containerd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.awaitRuntime(t)
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
}

// awaitRuntime waits until the proxy has found the runtime again.
func (f *fit) awaitRuntime(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := f.cri.List(t.Context())
		if err == nil {
			return
		}
		if status.Code(err) != codes.Unavailable || time.Now().After(deadline) {
			t.Fatalf("after the runtime came back: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestContainerdRestartsUnderBothDaemons(t *testing.T) {
	testContainerdRestarts(t, startFit(t, flagsV3, stack.Settings{}))
}

func testContainerdRestarts(t *testing.T, f *fit) {
	f.startPlugin(t)
	repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	needs(t, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
	id := f.pull(t, repo.Ref("1"))
	f.wantRuns(t, repo.Ref("1"), id, "amd64/v3")
	for range 2 {
		before := f.PluginSessions()
		if err := f.containerd.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := f.containerd.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.awaitRuntime(t)
		if err := f.AwaitPlugin(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		wantID(t, f.cri, id, repo.Ref("1"))
		f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")
	}
}

// A proxy killed at any moment of a pull leaves nothing that a new pull does
// not put right, and never a reference that resolves to something else.
func TestProxyKilledDuringAPullLeavesNothingThatANewPullDoesNotRepair(t *testing.T) {
	for _, after := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			f := startFit(t, flagsV3, stack.Settings{})
			repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
			f.registry.Inject(stack.Fault{Path: "/blobs/", Delay: 600 * time.Millisecond})
			done := make(chan error, 1)
			go func() {
				_, err := f.cri.Pull(context.Background(), repo.Ref("1"), stack.PullOptions{})
				done <- err
			}()
			time.Sleep(after)
			if err := f.Proxy.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; status.Code(err) != codes.Unavailable {
				t.Errorf("the interrupted pull: %v, want Unavailable", err)
			}
			if err := f.StartProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
			id := f.pull(t, repo.Ref("1"))
			wantID(t, f.cri, id, repo.Ref("1"))
			f.wantRuns(t, repo.Ref("1"), id, "amd64/v3")
		})
	}
}

// SIGTERM lets the pull that runs finish, and takes no new calls.
func TestSigtermDrainsPulls(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.registry.Inject(stack.Fault{Path: "/blobs/", Delay: 500 * time.Millisecond})
	events, err := f.eventStream(t)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		id  string
		err error
	}
	done := make(chan result, 1)
	go func() {
		id, err := f.cri.Pull(context.Background(), repo.Ref("1"), stack.PullOptions{})
		done <- result{id, err}
	}()
	for f.registry.Count("GET", "/blobs/") == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if err := f.Proxy.Stop(drainTime); err != nil { // SIGTERM, and wait
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil {
		t.Fatalf("the running pull: %v", r.err)
	}
	wantID(t, f.containerd.CRI, r.id, repo.Ref("1"))
	if _, err := events.Recv(); err == nil {
		t.Error("the endless event stream was not cut off")
	}
	if _, err := f.cri.List(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the end: %v, want Unavailable", err)
	}
}

func (f *fit) eventStream(t *testing.T) (runtimeapi.RuntimeService_GetContainerEventsClient, error) {
	t.Helper()
	cri, err := f.containerd.Via(f.Socket)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = cri.Close() })
	return cri.Runtime.GetContainerEvents(t.Context(), &runtimeapi.GetEventsRequest{})
}
