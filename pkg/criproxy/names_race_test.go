package criproxy

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// removeDirectly removes an image without the proxy.
func (b *pullBench) removeDirectly(t *testing.T, id string) {
	t.Helper()
	if _, err := b.direct().RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: id}}); err != nil {
		t.Fatal(err)
	}
}

// TestImageThatIsPulledWhileItIsFoundToBeGoneKeepsItsNames has a pod look up an image that
// was removed, and another pull it before the names are forgotten.
func TestImageThatIsPulledWhileItIsFoundToBeGoneKeepsItsNames(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.setKeeper(true)
	id := b.pullRef(t, appTag)
	b.removeDirectly(t, id)
	var looked atomic.Bool
	pulled := make(chan error, 1)
	b.runtime.Before = func(ctx context.Context, method, name string) error {
		if method != "get" || name != id || looked.Swap(true) {
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := b.pull(context.WithoutCancel(ctx))
			pulled <- err
		}()
		select {
		case <-done:
		case <-time.After(200 * time.Millisecond): // it waits until the names are forgotten
		}
		return status.Error(codes.NotFound, "not found") // as it was when it was asked
	}
	b.status(t, appTag)
	if err := <-pulled; err != nil {
		t.Fatal(err)
	}
	if got := b.status(t, appTag); got != id {
		t.Errorf("after the pull the status is %q", got)
	}
}

// TestNamesOfAnImageThatIsThereAreNotForgotten has a list of images from before a pull,
// on a runtime without records.
func TestNamesOfAnImageThatIsThereAreNotForgotten(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.setKeeper(true)
	id := b.pullRef(t, appTag)
	b.runtime.Before = func(_ context.Context, method, _ string) error {
		if method == "get" {
			return status.Error(codes.Unimplemented, "unknown service")
		}
		return nil
	}
	l := listing{Names: b.names, begun: time.Now(), seen: map[string]bool{}}
	l.prune(t.Context())
	if got := b.status(t, appTag); got != id {
		t.Errorf("the status is %q", got)
	}
}

// TestUnknownIsNotAnsweredAsNoImage: the kubelet would run the container as root.
func TestUnknownIsNotAnsweredAsNoImage(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.setKeeper(true)
	b.removeDirectly(t, b.pullRef(t, appTag))
	b.runtime.Before = func(_ context.Context, method, _ string) error {
		if method == "get" {
			return status.Error(codes.Unavailable, "busy")
		}
		return nil
	}
	resp, err := b.client.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: appTag}})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("%v, %v", resp, err)
	}
}
