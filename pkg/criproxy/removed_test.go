package criproxy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Get and Info tell what is still there of a record.
func (s fakeImages) Get(ctx context.Context, r *imagesapi.GetImageRequest) (*imagesapi.GetImageResponse, error) {
	if err := inNamespace(ctx); err != nil {
		return nil, err
	}
	if image := s.f.record(r.Name); image != nil {
		return &imagesapi.GetImageResponse{Image: image}, nil
	}
	return nil, status.Errorf(codes.NotFound, "image %s: not found", r.Name)
}

func (f *fakeContainerd) Info(ctx context.Context, r *contentapi.InfoRequest) (*contentapi.InfoResponse, error) {
	if err := inNamespace(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content[digest.Digest(r.Digest)] == nil {
		return nil, status.Errorf(codes.NotFound, "content %s: not found", r.Digest)
	}
	return &contentapi.InfoResponse{Info: &contentapi.Info{Digest: r.Digest}}, nil
}

// TestRecordChangedByOthers has somebody who removes or moves a record before the
// runtime shows it: the pull must not wait for what never comes.
func TestRecordChangedByOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		others func(f *fakeContainerd, manifest, other ocispec.Descriptor) // with the lock held
		want   error
	}{
		{"removes the record", func(f *fakeContainerd, _, _ ocispec.Descriptor) {
			delete(f.records, appTag)
		}, errRemoved},
		{"removes the content", func(f *fakeContainerd, manifest, _ ocispec.Descriptor) {
			delete(f.content, manifest.Digest)
		}, errRemoved},
		{"moves the record", func(f *fakeContainerd, _, other ocispec.Descriptor) {
			fakeImages{f: f}.put("move", &imagesapi.Image{Name: appTag, Target: &types.Descriptor{Digest: other.Digest.String()}})
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 1, nil)
			manifest, other := b.registry.image("", "some"), b.registry.image("", "other")
			for _, d := range []ocispec.Descriptor{manifest, other} {
				b.runtime.content[d.Digest] = b.registry.manifest(d.Digest)
			}
			r := b.puller.records
			if err := r.put(r.withNamespace(t.Context()), appTag, "", manifest); err != nil {
				t.Fatal(err)
			}
			b.runtime.mu.Lock()
			delete(b.runtime.shown, appTag)
			tt.others(b.runtime, manifest, other)
			b.runtime.mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := r.wait(ctx, appTag, manifest.Digest, imageID("some")); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// others is the image service with somebody who makes the record before each
// create and removes it before each update, for some turns.
type others struct {
	imagesapi.ImagesClient
	f     *fakeContainerd
	turns int
}

func (o *others) Create(ctx context.Context, r *imagesapi.CreateImageRequest, opts ...grpc.CallOption) (*imagesapi.CreateImageResponse, error) {
	if o.turns--; o.turns >= 0 {
		o.f.mu.Lock()
		o.f.records[r.Image.Name] = &imagesapi.Image{Name: r.Image.Name}
		o.f.mu.Unlock()
	}
	return o.ImagesClient.Create(ctx, r, opts...)
}

func (o *others) Update(ctx context.Context, r *imagesapi.UpdateImageRequest, opts ...grpc.CallOption) (*imagesapi.UpdateImageResponse, error) {
	if o.turns--; o.turns >= 0 {
		o.f.mu.Lock()
		delete(o.f.records, r.Image.Name)
		o.f.mu.Unlock()
	}
	return o.ImagesClient.Update(ctx, r, opts...)
}

// TestRecordWrittenByOthers has pulls and removals beside this one, of other names
// of the same index: what others do to its record is no reason to give up.
func TestRecordWrittenByOthers(t *testing.T) {
	t.Parallel()
	for turns := range 6 {
		b := newPullBench(t, 3, nil)
		r := b.puller.records
		r.images = &others{ImagesClient: r.images, f: b.runtime, turns: turns}
		id, err := b.pull(t.Context())
		if err != nil || id != imageID("1v3") || b.status(t, appTag) != id {
			t.Errorf("%d turns: pulled %q, %v", turns, id, err)
		}
	}
}

// TestImageRemovedDuringPull has somebody who removes the image as it is pulled:
// the choice is pulled again, not what the runtime takes unasked.
func TestImageRemovedDuringPull(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	lost := 0
	b.runtime.pullHook = func(_ context.Context, ref string) error {
		if lost++; lost <= 2 {
			return status.Errorf(codes.NotFound, `failed to create image reference %q: image %q: not found`, ref, ref)
		}
		return nil
	}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1v3") || b.status(t, appTag) != id {
		t.Errorf("pulled %q, %v", id, err)
	}
}

// TestRecordRemovedForEver has somebody who removes every record of the tag as it
// is made: the pull fails, and brings no other variant.
func TestRecordRemovedForEver(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.puller.records.images = vanishing{b.puller.records.images, b.runtime}
	id, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, "")
	for _, raw := range b.runtime.requests() {
		if strings.Contains(raw, appTag) {
			t.Errorf("pulled %q, and the runtime was asked for the tag", id)
		}
	}
}

// vanishing is a store whose records of the tag are gone at once.
type vanishing struct {
	imagesapi.ImagesClient
	f *fakeContainerd
}

func (v vanishing) Create(ctx context.Context, r *imagesapi.CreateImageRequest, opts ...grpc.CallOption) (*imagesapi.CreateImageResponse, error) {
	if r.GetImage().GetName() == appTag {
		return &imagesapi.CreateImageResponse{Image: r.GetImage()}, nil
	}
	return v.ImagesClient.Create(ctx, r, opts...)
}
