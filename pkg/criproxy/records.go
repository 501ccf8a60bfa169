package criproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/imagestore"
)

const (
	// managed is containerd's label on images that its CRI plugin looks after.
	managed = "io.cri-containerd.image"

	// recordTimeout bounds how long the runtime may take to show a record.
	recordTimeout = 10 * time.Second
)

// errRemoved is what comes of a record that somebody removed while it was made:
// the image that it was for is gone as well, or about to go.
var errRemoved = errors.New("it was removed meanwhile")

// records is containerd's own view of images, beside the CRI. All of it is
// local to the node.
type records struct {
	store     *imagestore.Store
	images    imagesapi.ImagesClient
	content   contentapi.ContentClient
	cri       runtimeapi.ImageServiceClient
	namespace string
	timeout   time.Duration // recordTimeout, but in tests
}

func newRecords(b *cri.Backend, namespace string) *records {
	return &records{
		store:     imagestore.New(b, namespace),
		images:    imagesapi.NewImagesClient(b),
		content:   contentapi.NewContentClient(b),
		cri:       runtimeapi.NewImageServiceClient(b),
		namespace: namespace,
		timeout:   recordTimeout,
	}
}

func (r *records) withNamespace(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs("containerd-namespace", r.namespace))
}

// point makes name an image record on the manifest and, as after a pull without
// us, the repository with the digest of the index. It returns when CRI answers for
// both with imageID. Until then the kubelet would find no image under the name,
// and run the container as root.
func (r *records) point(ctx context.Context, repository, name string, index digest.Digest, manifest ocispec.Descriptor, imageID string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	names := slices.Compact([]string{repository + "@" + index.String(), name})
	names = slices.DeleteFunc(names, func(name string) bool { return r.stands(ctx, name, index, manifest.Digest, imageID) })
	for _, name := range names {
		if err := r.put(r.withNamespace(ctx), name, index, manifest); err != nil {
			return fmt.Errorf("record image %s: %w", name, err)
		}
	}
	for _, shown := range slices.Backward(names) { // each: one that was there before is no sign of the other
		err := r.wait(ctx, shown, manifest.Digest, imageID)
		if err != nil && (shown == name || !errors.Is(err, errRemoved)) { // the index may go: it is as if it went later
			return err
		}
	}
	return nil
}

// stands reports whether all is already as it should be, which spares the runtime
// two writes to disk.
func (r *records) stands(ctx context.Context, name string, index, manifest digest.Digest, imageID string) bool {
	record, err := r.images.Get(r.withNamespace(ctx), &imagesapi.GetImageRequest{Name: name})
	if err != nil || record.GetImage().GetTarget().GetDigest() != manifest.String() {
		return false
	}
	labels := record.GetImage().GetLabels()
	if labels[managed] != "managed" || labels[imagestore.LabelIndex] != index.String() || labels[imagestore.LabelManifest] != manifest.String() {
		return false
	}
	shown, err := r.cri.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
	return err == nil && shown.GetImage().GetId() == imageID
}

func (r *records) put(ctx context.Context, name string, index digest.Digest, manifest ocispec.Descriptor) error {
	image := &imagesapi.Image{
		Name: name,
		Target: &types.Descriptor{
			MediaType: manifest.MediaType, Digest: manifest.Digest.String(), Size: manifest.Size,
		},
		Labels: map[string]string{
			managed: "managed", imagestore.LabelIndex: index.String(), imagestore.LabelManifest: manifest.Digest.String(),
		},
	}
	mask := &fieldmaskpb.FieldMask{Paths: []string{"target"}}
	for label := range image.Labels {
		mask.Paths = append(mask.Paths, "labels."+label)
	}
	for { // others make and remove it meanwhile; the calls themselves end with ctx
		_, err := r.images.Create(ctx, &imagesapi.CreateImageRequest{Image: image})
		if status.Code(err) != codes.AlreadyExists {
			return err
		}
		_, err = r.images.Update(ctx, &imagesapi.UpdateImageRequest{Image: image, UpdateMask: mask})
		if status.Code(err) != codes.NotFound {
			return err
		}
	}
}

// wait polls until the CRI store, which follows image records by events, shows
// the name with the id. Where another pull moved the name on, it is enough that
// CRI shows something under it.
func (r *records) wait(ctx context.Context, name string, manifest digest.Digest, imageID string) error {
	req := &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}}
	var moved, gone bool
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		resp, err := r.cri.ImageStatus(ctx, req)
		shown := resp.GetImage().GetId()
		if err == nil && (shown == imageID || moved && shown != "") {
			return nil
		}
		if pause > 4*time.Millisecond { // it hardly ever takes that long
			moved, gone = r.changed(ctx, name, manifest)
		}
		if gone {
			return fmt.Errorf("wait until the runtime shows %s as %s: %w", name, imageID, errRemoved)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the runtime shows %s as %s (it shows %q): %w",
				name, imageID, shown, errors.Join(err, context.Cause(ctx)))
		case <-time.After(pause):
		}
	}
}

// changed tells what others did to a name that was just made to point at the
// manifest: moved it, or removed it or the manifest.
func (r *records) changed(ctx context.Context, name string, manifest digest.Digest) (moved, gone bool) {
	ctx = r.withNamespace(ctx)
	record, err := r.images.Get(ctx, &imagesapi.GetImageRequest{Name: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return false, true
	case err != nil:
		return false, false
	case record.GetImage().GetTarget().GetDigest() != manifest.String():
		return true, false
	}
	_, err = r.content.Info(ctx, &contentapi.InfoRequest{Digest: manifest.String()})
	return false, status.Code(err) == codes.NotFound
}
