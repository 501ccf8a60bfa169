package imagestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	// timeout bounds how long the runtime may take for one answer.
	timeout = 10 * time.Second
	// maxManifest bounds what is read of a manifest.
	maxManifest = 4 << 20
)

// Labels that cri-proxy gives to the image records it makes.
const (
	// LabelIndex is the index that the record's manifest was chosen from.
	LabelIndex = "imagefit.io/index"
	// LabelManifest is the chosen manifest. The labels speak the truth only while
	// this is the record's target, for a later pull behind our back moves the
	// target and leaves the labels.
	LabelManifest = "imagefit.io/manifest"
)

// Store is the image store of one containerd namespace.
type Store struct {
	images    imagesapi.ImagesClient
	content   contentapi.ContentClient
	events    eventsapi.EventsClient
	namespace string
}

// New returns the store of a namespace.
func New(conn grpc.ClientConnInterface, namespace string) *Store {
	return &Store{
		images: imagesapi.NewImagesClient(conn), content: contentapi.NewContentClient(conn),
		events: eventsapi.NewEventsClient(conn), namespace: namespace,
	}
}

func (s *Store) scoped(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs("containerd-namespace", s.namespace))
}

// Record is an image record: a name and what it points at.
type Record struct {
	Name   string
	Target digest.Digest
	Index  digest.Digest // that the target was chosen from by cri-proxy, or empty
}

// Records lists the image records.
func (s *Store) Records(ctx context.Context) ([]Record, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	list, err := s.images.List(ctx, &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list image records: %w", err)
	}
	records := make([]Record, 0, len(list.GetImages()))
	for _, image := range list.GetImages() {
		r := Record{Name: image.GetName(), Target: digest.Digest(image.GetTarget().GetDigest())}
		if labels := image.GetLabels(); labels[LabelManifest] == r.Target.String() {
			r.Index = digest.Digest(labels[LabelIndex])
		}
		records = append(records, r)
	}
	return records, nil
}

// ConfigOf returns the config digest of a manifest that the runtime has, which is
// the image id that CRI knows it by. What it does not have is codes.NotFound.
func (s *Store) ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	stream, err := s.content.Read(ctx, &contentapi.ReadContentRequest{Digest: manifest.String()})
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

// Follow calls changed whenever an image record is made or moved, until ctx ends
// or the runtime does not answer any more. It begins with a call, once changes
// are noticed.
func (s *Store) Follow(ctx context.Context, changed func()) error {
	var filters []string
	for _, topic := range []string{"create", "update"} {
		filters = append(filters, fmt.Sprintf("namespace==%q,topic==%q", s.namespace, "/images/"+topic))
	}
	ctx, cancel := context.WithCancel(s.scoped(ctx))
	defer cancel()
	stream, err := s.events.Subscribe(ctx, &eventsapi.SubscribeRequest{Filters: filters})
	if err != nil {
		return fmt.Errorf("follow image records: %w", err)
	}
	changed()
	for {
		if _, err := stream.Recv(); err != nil {
			return fmt.Errorf("follow image records: %w", err)
		}
		changed()
	}
}
