package criproxy

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
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
		b.alongside(ctx, pulled, func(ctx context.Context) error {
			_, err := b.pull(ctx)
			return err
		})
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

// TestPullDuringAChangeOfTheKeeperWins has the tag moved and pulled while the names of the
// images that there are move to their new keeper.
func TestPullDuringAChangeOfTheKeeperWins(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, byProxy bool) {
		manifest := b.registry.index("1", "", "v3")[1].Digest
		old := b.pullRef(t, appTag)
		entries := []ocispec.Descriptor{b.registry.image("2v2"), b.registry.image("2v3")}
		b.registry.Index("1", entries...)
		var began atomic.Bool
		pulled := make(chan error, 1)
		b.runtime.Before = func(ctx context.Context, method, name string) error {
			if method == "read" && name == manifest.String() && !began.Swap(true) {
				b.alongside(ctx, pulled, func(ctx context.Context) error {
					_, err := b.pull(ctx)
					return err
				})
			}
			return nil
		}
		b.setKeeper(!byProxy)
		if err := b.names.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-pulled; err != nil {
			t.Fatal(err)
		}
		if got := b.status(t, appTag); got != imageID("2v3") || got == old {
			t.Errorf("the tag resolves to %q, want what was pulled last", got)
		}
		if record := b.runtime.Record(appTag); (record == nil) == byProxy {
			t.Errorf("the record is %v", record)
		}
	})
}

// alongside does something while a call is under way, and waits a little for its end.
func (b *pullBench) alongside(ctx context.Context, result chan<- error, do func(context.Context) error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		result <- do(context.WithoutCancel(ctx))
	}()
	select {
	case <-done:
	case <-time.After(200 * time.Millisecond): // it waits for the call
	}
}

// TestChangeOfTheKeeperDuringAPullMovesItsName has the keeper change right before the name
// is written.
func TestChangeOfTheKeeperDuringAPullMovesItsName(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	settled := make(chan error, 1)
	b.runtime.Before = func(ctx context.Context, method, name string) error {
		if method == "create" && name == appTag {
			b.setKeeper(true)
			b.alongside(ctx, settled, b.names.settle)
		}
		return nil
	}
	id := b.pullRef(t, appTag)
	if err := <-settled; err != nil {
		t.Fatal(err)
	}
	if got := b.status(t, appTag); got != id || b.runtime.Record(appTag) != nil {
		t.Errorf("the tag resolves to %q, the record is %v", got, b.runtime.Record(appTag))
	}
}

// TestNameThatCannotMoveLeavesTheOthersToMove has an image whose manifest is gone, as it is
// after the same config was pulled with another.
func TestNameThatCannotMoveLeavesTheOthersToMove(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.setKeeper(true)
	manifest := b.registry.index("1", "", "v3")[1].Digest
	id := b.pullRef(t, appTag)
	b.registry.index("2", "", "v3")
	b.takes(b.registry.image("2").Digest)
	other := b.pullRef(t, appRepo+":2")
	b.runtime.Before = func(_ context.Context, method, name string) error {
		if method == "read" && name == manifest.String() {
			return status.Error(codes.NotFound, "not found")
		}
		return nil
	}
	b.setKeeper(false)
	if err := b.names.settle(t.Context()); err != nil {
		t.Error(err)
	}
	if b.runtime.Record(appTag) != nil || b.runtime.Record(appRepo+":2") == nil {
		t.Errorf("records: %v, %v", b.runtime.Record(appTag), b.runtime.Record(appRepo+":2"))
	}
	if one, two := b.status(t, appTag), b.status(t, appRepo+":2"); one != id || two != other {
		t.Errorf("the tags resolve to %q, %q", one, two)
	}
}
