package images

import (
	"context"
	"errors"
	"fmt"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ErrRemoved is the error of Point when the record or its image was removed meanwhile.
var ErrRemoved = errors.New("it was removed meanwhile")

// Choice is an image on the node that was chosen for a reference.
type Choice struct {
	Reference string // with a tag
	Index     digest.Digest
	Manifest  ocispec.Descriptor // an entry of the index
	ImageID   string             // of the manifest, in the CRI
}

// Point makes the reference, which has a tag, an image record on the chosen manifest. It
// returns when the CRI shows the image under it. Until then the kubelet would find no
// image under the reference, and run the container as root.
func (s *Store) Point(ctx context.Context, c Choice) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s.isCurrent(ctx, c) {
		return nil
	}
	if err := s.put(s.scoped(ctx), c); err != nil {
		return fmt.Errorf("record image %s: %w", c.Reference, err)
	}
	return s.awaitShown(ctx, c)
}

// isCurrent reports whether the record and what the CRI shows are already as they should
// be, which spares the runtime two writes to disk.
func (s *Store) isCurrent(ctx context.Context, c Choice) bool {
	record, err := s.images.Get(s.scoped(ctx), &imagesapi.GetImageRequest{Name: c.Reference})
	if err != nil || record.GetImage().GetTarget().GetDigest() != c.Manifest.Digest.String() {
		return false
	}
	for label, value := range c.labels() {
		if record.GetImage().GetLabels()[label] != value {
			return false
		}
	}
	shown, err := s.shownAs(ctx, c.Reference)
	return err == nil && shown == c.ImageID
}

func (c Choice) labels() map[string]string {
	return map[string]string{
		labelManaged: "managed", labelIndex: c.Index.String(), labelManifest: c.Manifest.Digest.String(),
	}
}

func (s *Store) put(ctx context.Context, c Choice) error {
	image := &imagesapi.Image{
		Name: c.Reference,
		Target: &types.Descriptor{
			MediaType: c.Manifest.MediaType, Digest: c.Manifest.Digest.String(), Size: c.Manifest.Size,
		},
		Labels: c.labels(),
	}
	mask := &fieldmaskpb.FieldMask{Paths: []string{"target"}}
	for label := range image.Labels {
		mask.Paths = append(mask.Paths, "labels."+label)
	}
	for { // other pulls make and remove it at the same time; the calls end with ctx
		_, err := s.images.Create(ctx, &imagesapi.CreateImageRequest{Image: image})
		if status.Code(err) != codes.AlreadyExists {
			return err
		}
		_, err = s.images.Update(ctx, &imagesapi.UpdateImageRequest{Image: image, UpdateMask: mask})
		if status.Code(err) != codes.NotFound {
			return err
		}
	}
}

// awaitShown polls until the CRI's store, which follows image records by events, shows
// the image under the reference. Where another pull moved the record, any image will do.
func (s *Store) awaitShown(ctx context.Context, c Choice) error {
	var moved, removed bool
	name := c.Reference
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		shown, err := s.shownAs(ctx, name)
		if err == nil && (shown == c.ImageID || moved && shown != "") {
			return nil
		}
		if pause > 4*time.Millisecond { // it hardly ever takes that long
			moved, removed = s.changed(ctx, name, c.Manifest.Digest)
		}
		if removed {
			return fmt.Errorf("wait until the runtime shows %s as %s: %w", name, c.ImageID, ErrRemoved)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the runtime shows %s as %s (it shows %q): %w",
				name, c.ImageID, shown, errors.Join(err, context.Cause(ctx)))
		case <-time.After(pause):
		}
	}
}

// shownAs returns the id of the image that the CRI shows under a name, "" for none.
func (s *Store) shownAs(ctx context.Context, name string) (string, error) {
	image, err := s.Image(ctx, name)
	return image.GetId(), err
}

// Image returns the image that the CRI shows under a name or an id, nil for none. It
// works on every runtime.
func (s *Store) Image(ctx context.Context, name string) (*runtimeapi.Image, error) {
	resp, err := s.cri.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
	if err != nil {
		return nil, fmt.Errorf("look up image %s in the runtime: %w", name, err)
	}
	return resp.GetImage(), nil
}

// changed reports what others did to a record that was just put on the manifest: moved
// it, or removed it or the manifest.
func (s *Store) changed(ctx context.Context, name string, manifest digest.Digest) (moved, removed bool) {
	ctx = s.scoped(ctx)
	record, err := s.images.Get(ctx, &imagesapi.GetImageRequest{Name: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return false, true
	case err != nil:
		return false, false
	case record.GetImage().GetTarget().GetDigest() != manifest.String():
		return true, false
	}
	_, err = s.content.Info(ctx, &contentapi.InfoRequest{Digest: manifest.String()})
	return false, status.Code(err) == codes.NotFound
}
