package criproxy

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/policy"
)

// newRecordlessBench is a bench whose runtime has nothing but the CRI, as CRI-O, and
// removes a name at a time.
func newRecordlessBench(t *testing.T) (*pullBench, names.Files) {
	t.Helper()
	b := newPullBench(t, 3, nil)
	b.runtime.Before = func(context.Context, string, string) error {
		return status.Error(codes.Unimplemented, "unknown service")
	}
	files := names.Files{Folder: filepath.Join(t.TempDir(), "names"), Log: slog.New(slog.DiscardHandler)}
	b.names.Keeper = names.NewKeeper(images.Names{Store: b.names.Records.(*images.Store)}, files)
	b.names.Untags = func() bool { return true }
	b.setKeeper(true)
	return b, files
}

// TestVariantIsChosenOnARuntimeWithoutRecords: all names are the proxy's, in files.
func TestVariantIsChosenOnARuntimeWithoutRecords(t *testing.T) {
	t.Parallel()
	b, files := newRecordlessBench(t)
	index, id := b.indexOf(t).String(), imageID("1v3")
	byIndex := appRepo + "@" + index
	if got := b.pullRef(t, appTag); got != id {
		t.Fatalf("pulled %s", got)
	}
	if r := b.last(); r.Action != policy.Pulled || r.Choice != "linux/amd64/v3" {
		t.Errorf("record %+v", r)
	}
	look := func(when string) {
		t.Helper()
		for _, ref := range []string{appTag, byIndex, appTag + "@" + index, id} {
			if got := b.status(t, ref); got != id {
				t.Errorf("%s: %s is %q", when, ref, got)
			}
		}
		b.wantList(t, id+" "+appTag+" "+byIndex)
	}
	look("after the pull")
	b.names.Keeper = names.NewKeeper(images.Names{Store: b.names.Records.(*images.Store)}, files)
	look("after a restart")
	if err := b.names.settle(t.Context()); err != nil {
		t.Error(err)
	}
	look("after a look at who keeps names")
}

// TestRemovalOfANameLeavesTheOthers removes the tag, then the digest, then pulls and
// removes by the id.
func TestRemovalOfANameLeavesTheOthers(t *testing.T) {
	t.Parallel()
	b, _ := newRecordlessBench(t)
	id, byIndex := b.pullRef(t, appTag), appRepo+"@"+b.indexOf(t).String()
	remove := func(ref string) {
		t.Helper()
		if _, err := b.client.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}}); err != nil {
			t.Fatal(err)
		}
	}
	remove(appTag)
	if b.status(t, appTag) != "" || b.status(t, byIndex) != id {
		t.Errorf("the tag is %q, the digest %q", b.status(t, appTag), b.status(t, byIndex))
	}
	b.wantList(t, id+" "+byIndex)
	remove(byIndex) // the last name, and with it the image
	b.wantList(t)
	b.pullRef(t, appTag)
	remove(id)
	b.wantList(t)
	if n := b.names.Keeper.Len(); n != 0 || b.status(t, appTag) != "" {
		t.Errorf("%d names are left", n)
	}
}

// TestLostFilesCostAnotherPull: without its names an image is not found by them, which
// the kubelet answers with a pull.
func TestLostFilesCostAnotherPull(t *testing.T) {
	t.Parallel()
	b, _ := newRecordlessBench(t)
	id := b.pullRef(t, appTag)
	b.names.Keeper = names.NewKeeper(images.Names{Store: b.names.Records.(*images.Store)},
		names.Files{Folder: filepath.Join(t.TempDir(), "empty"), Log: slog.New(slog.DiscardHandler)})
	if got := b.status(t, appTag); got != "" {
		t.Errorf("the tag is %q", got)
	}
	if got := b.pullRef(t, appTag); got != id || b.status(t, appTag) != id {
		t.Errorf("pulled %q, the tag is %q", got, b.status(t, appTag))
	}
}
