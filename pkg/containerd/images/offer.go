package images

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

const (
	// leaseHeader names the lease that what a call writes belongs to.
	leaseHeader = "containerd-lease"
	// labelExpire is when containerd drops a lease that nobody deleted.
	labelExpire = "containerd.io/gc.expire"
	// leaseTime is more than a pull takes until it holds its own lease.
	leaseTime = 10 * time.Minute
	// labelSource begins the label by which containerd notes from which registry content
	// is, and of which repositories of it. Peers find content to serve by it.
	labelSource = "containerd.io/distribution.source."
	// labelIndexRef makes containerd keep an index as long as a manifest.
	labelIndexRef = "containerd.io/gc.ref.content.imagefit-index"
)

// Content is an index or a manifest that was read from a registry.
type Content struct {
	Descriptor ocispec.Descriptor
	Body       []byte
}

// Offer puts content into the runtime's store, so that a pull need not fetch it again:
// registries count each request for a manifest. The content is the pull's once it has
// used it; what it did not use is garbage after release. The repository is that of the
// content.
func (s *Store) Offer(ctx context.Context, repository string, contents []Content) (release func(), err error) {
	release = func() {}
	lasting := context.WithoutCancel(ctx) // for when the client is gone
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	var missing []Content
	for _, c := range contents {
		_, err := s.content.Info(ctx, &contentapi.InfoRequest{Digest: c.Descriptor.Digest.String()})
		switch {
		case status.Code(err) == codes.NotFound:
			missing = append(missing, c)
		case err != nil:
			return release, fmt.Errorf("look for %s in the runtime's store: %w", c.Descriptor.Digest, err)
		}
	}
	if len(missing) == 0 {
		return release, nil
	}
	lease, err := s.leases.Create(ctx, &leasesapi.CreateRequest{
		ID: "imagefit-" + rand.Text(), Labels: map[string]string{labelExpire: time.Now().Add(leaseTime).UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return release, fmt.Errorf("create a lease: %w", err)
	}
	release = func() {
		ctx, cancel := context.WithTimeout(s.scoped(lasting), timeout)
		defer cancel()
		// A lease that is left expires.
		_, _ = s.leases.Delete(ctx, &leasesapi.DeleteRequest{ID: lease.GetLease().GetID()})
	}
	ctx = metadata.AppendToOutgoingContext(ctx, leaseHeader, lease.GetLease().GetID())
	for _, c := range missing {
		if err := s.write(ctx, repository, c); err != nil {
			return release, fmt.Errorf("write %s to the runtime's store: %w", c.Descriptor.Digest, err)
		}
	}
	return release, nil
}

func (s *Store) write(ctx context.Context, repository string, c Content) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := s.content.Write(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Ref: "imagefit-" + c.Descriptor.Digest.String(),
		Total: int64(len(c.Body)), Expected: c.Descriptor.Digest.String(), Data: c.Body, Labels: sourceOf(repository),
	})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) == codes.AlreadyExists { // another pull wrote it
		return nil
	}
	return err
}

// sourceOf is the label of the content of a repository.
func sourceOf(repository string) map[string]string {
	registry, path, ok := strings.Cut(repository, "/")
	if !ok {
		return nil
	}
	return map[string]string{labelSource + registry: path}
}

// KeepIndex keeps an index in the store, if it is there, as long as a manifest of it. Other
// nodes that fetch from this one need it to resolve names by its digest.
func (s *Store) KeepIndex(ctx context.Context, manifest, index digest.Digest) error {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	_, err := s.content.Update(ctx, &contentapi.UpdateRequest{
		Info:       &contentapi.Info{Digest: manifest.String(), Labels: map[string]string{labelIndexRef: index.String()}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + labelIndexRef}},
	})
	if err != nil {
		return fmt.Errorf("keep index %s with manifest %s: %w", index, manifest, err)
	}
	return nil
}
