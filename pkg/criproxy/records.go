package criproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

const (
	// managed is containerd's label on images that its CRI plugin looks after.
	managed = "io.cri-containerd.image"
	// LabelIndex is our label on an image record: the index that its manifest
	// was chosen from.
	LabelIndex = "imagefit.io/index"
	// LabelManifest is our label on an image record: the chosen manifest. The
	// labels speak the truth only while this is the record's target, for a
	// later pull behind our back moves the target and leaves the labels.
	LabelManifest = "imagefit.io/manifest"

	// recordTimeout bounds how long the runtime may take to show a record.
	recordTimeout = 10 * time.Second
	// maxManifest bounds what is read of a manifest in the runtime's store.
	maxManifest = 4 << 20
)

// records is containerd's own view of images, beside the CRI. All of it is
// local to the node.
type records struct {
	images    imagesapi.ImagesClient
	content   contentapi.ContentClient
	cri       runtimeapi.ImageServiceClient
	namespace string
	timeout   time.Duration // recordTimeout, but in tests
}

func newRecords(b *Backend, namespace string) *records {
	return &records{
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

// point makes name an image record on the manifest, and returns when CRI
// answers for that name with imageID. Until then the kubelet would find no
// image under the name, and run the container as root.
func (r *records) point(ctx context.Context, name string, index digest.Digest, manifest ocispec.Descriptor, imageID string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := r.put(r.withNamespace(ctx), name, index, manifest); err != nil {
		return fmt.Errorf("record image %s: %w", name, err)
	}
	return r.wait(ctx, name, imageID)
}

func (r *records) put(ctx context.Context, name string, index digest.Digest, manifest ocispec.Descriptor) error {
	image := &imagesapi.Image{
		Name: name,
		Target: &types.Descriptor{
			MediaType: manifest.MediaType, Digest: manifest.Digest.String(), Size: manifest.Size,
		},
		Labels: map[string]string{
			managed: "managed", LabelIndex: index.String(), LabelManifest: manifest.Digest.String(),
		},
	}
	_, err := r.images.Create(ctx, &imagesapi.CreateImageRequest{Image: image})
	if status.Code(err) != codes.AlreadyExists {
		return err
	}
	mask := &fieldmaskpb.FieldMask{Paths: []string{"target"}}
	for label := range image.Labels {
		mask.Paths = append(mask.Paths, "labels."+label)
	}
	_, err = r.images.Update(ctx, &imagesapi.UpdateImageRequest{Image: image, UpdateMask: mask})
	if status.Code(err) == codes.NotFound { // removed in between
		_, err = r.images.Create(ctx, &imagesapi.CreateImageRequest{Image: image})
	}
	return err
}

// wait polls until the CRI store, which follows image records by events, shows
// the name with the id.
func (r *records) wait(ctx context.Context, name, imageID string) error {
	req := &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		resp, err := r.cri.ImageStatus(ctx, req)
		if err == nil && resp.GetImage().GetId() == imageID {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the runtime shows %s as %s (it shows %q): %w",
				name, imageID, resp.GetImage().GetId(), errors.Join(err, context.Cause(ctx)))
		case <-time.After(pause):
		}
	}
}

// configOf returns the config digest of a manifest that the runtime has, which
// is the image id that CRI knows it by.
func (r *records) configOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error) {
	ctx, cancel := context.WithTimeout(r.withNamespace(ctx), r.timeout)
	defer cancel()
	stream, err := r.content.Read(ctx, &contentapi.ReadContentRequest{Digest: manifest.String()})
	if err != nil {
		return "", err
	}
	var body []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if body = append(body, part.GetData()...); len(body) > maxManifest {
			return "", fmt.Errorf("manifest %s is larger than %d bytes", manifest, maxManifest)
		}
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return "", fmt.Errorf("read manifest %s: %w", manifest, err)
	}
	return m.Config.Digest, nil
}
