// Package images reads and writes containerd's own records of images, which the CRI
// does not show: names and the manifests that they point at. All of it is local to the
// node.
package images

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// timeout bounds how long the runtime may take for one answer, or until it shows
	// a record.
	timeout = 10 * time.Second
	// maxManifest bounds what is read of a manifest or a config.
	maxManifest = 4 << 20
)

// Labels of the records that Point makes.
const (
	// labelManaged is containerd's own, on images that its CRI plugin looks after.
	labelManaged = "io.cri-containerd.image"
	// labelIndex is the index that the record's manifest was chosen from.
	labelIndex = "imagefit.io/index"
	// labelManifest is the chosen manifest. The labels are true only while this is the
	// record's target: a later pull that bypasses the proxy moves the target and leaves
	// the labels.
	labelManifest = "imagefit.io/manifest"
)

// Store is the image store of one containerd namespace.
type Store struct {
	images    imagesapi.ImagesClient
	content   contentapi.ContentClient
	leases    leasesapi.LeasesClient
	events    eventsapi.EventsClient
	cri       runtimeapi.ImageServiceClient
	namespace string
}

// New returns the store of a namespace.
func New(conn grpc.ClientConnInterface, namespace string) *Store {
	return &Store{
		images: imagesapi.NewImagesClient(conn), content: contentapi.NewContentClient(conn),
		leases: leasesapi.NewLeasesClient(conn),
		events: eventsapi.NewEventsClient(conn), cri: runtimeapi.NewImageServiceClient(conn), namespace: namespace,
	}
}

// scoped returns ctx for calls of containerd's own services.
func (s *Store) scoped(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs("containerd-namespace", s.namespace))
}

// Record is an image record: a name and what it points at.
type Record struct {
	Name   string
	Target digest.Digest
	Index  digest.Digest // from which cri-proxy chose the target, or empty
	// Updated is when the record was last changed, zero where the runtime does not tell.
	Updated time.Time
}

// Records lists the image records.
func (s *Store) Records(ctx context.Context) ([]Record, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	list, err := s.images.List(ctx, &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list image records: %w", err)
	}
	chosen := map[string]digest.Digest{}
	for _, image := range list.GetImages() {
		for _, n := range namesIn(image) {
			repository, _, _ := strings.Cut(n.Reference, "@")
			chosen[repository+"@"+n.Manifest.String()] = n.Index
		}
	}
	records := make([]Record, 0, len(list.GetImages()))
	for _, image := range list.GetImages() {
		r := recordOf(image)
		if r.Index == "" {
			r.Index = chosen[r.Name]
		}
		records = append(records, r)
	}
	return records, nil
}

func recordOf(image *imagesapi.Image) Record {
	r := Record{Name: image.GetName(), Target: digest.Digest(image.GetTarget().GetDigest())}
	if at := image.GetUpdatedAt(); at != nil {
		r.Updated = at.AsTime()
	}
	if labels := image.GetLabels(); labels[labelManifest] == r.Target.String() {
		r.Index = digest.Digest(labels[labelIndex])
	}
	return r
}

// ConfigOf returns the config digest of a manifest in the runtime's content store,
// which is the image id in the CRI. For a manifest that is not there the error has
// codes.NotFound.
func (s *Store) ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	var m ocispec.Manifest
	if err := s.decode(ctx, manifest, &m); err != nil {
		return "", fmt.Errorf("read manifest %s: %w", manifest, err)
	}
	return m.Config.Digest, nil
}

// DescriptorOf returns the descriptor of a manifest in the runtime's content store.
func (s *Store) DescriptorOf(ctx context.Context, manifest digest.Digest) (ocispec.Descriptor, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	body, err := s.read(ctx, manifest)
	var m ocispec.Manifest
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("read manifest %s: %w", manifest, err)
	}
	return ocispec.Descriptor{
		MediaType: cmp.Or(m.MediaType, ocispec.MediaTypeImageManifest), Digest: manifest, Size: int64(len(body)),
	}, nil
}

// PlatformOf returns the platform in a config in the runtime's content store.
func (s *Store) PlatformOf(ctx context.Context, config digest.Digest) (ocispec.Platform, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	var p ocispec.Platform
	if err := s.decode(ctx, config, &p); err != nil {
		return ocispec.Platform{}, fmt.Errorf("read config %s: %w", config, err)
	}
	return p, nil
}

// decode reads a JSON document of the content store.
func (s *Store) decode(ctx context.Context, content digest.Digest, into any) error {
	body, err := s.read(ctx, content)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (s *Store) read(ctx context.Context, content digest.Digest) ([]byte, error) {
	stream, err := s.content.Read(ctx, &contentapi.ReadContentRequest{Digest: content.String()})
	if err != nil {
		return nil, err
	}
	var body []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if body = append(body, part.GetData()...); len(body) > maxManifest {
			return nil, fmt.Errorf("larger than %d bytes", maxManifest)
		}
	}
}

// Follow calls changed once it receives events, and then whenever an image record is
// made or moved, until ctx ends or the runtime does not answer any more.
func (s *Store) Follow(ctx context.Context, changed func()) error {
	var filters []string
	for _, topic := range []string{"create", "update"} {
		filters = append(filters, fmt.Sprintf("namespace==%q,topic==%q", s.namespace, "/images/"+topic))
	}
	ctx, cancel := context.WithCancel(s.scoped(ctx))
	defer cancel()
	stream, err := s.events.Subscribe(ctx, &eventsapi.SubscribeRequest{Filters: filters})
	for err == nil {
		changed()
		_, err = stream.Recv()
	}
	return fmt.Errorf("follow image records: %w", err)
}
