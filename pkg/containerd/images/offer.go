package images

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// leaseHeader names the lease that what a call writes belongs to.
	leaseHeader = "containerd-lease"
	// labelExpire is when containerd drops a lease that nobody deleted.
	labelExpire = "containerd.io/gc.expire"
	// leaseTime is more than a pull takes until it holds its own lease.
	leaseTime = 10 * time.Minute
)

// Content is an index or a manifest that was read from a registry.
type Content struct {
	Descriptor ocispec.Descriptor
	Body       []byte
}

// Offer puts content into the runtime's store, so that a pull need not fetch it again:
// registries count each request for a manifest. The content is the pull's once it has
// used it; what it did not use is garbage after release.
func (s *Store) Offer(ctx context.Context, contents []Content) (release func(), err error) {
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
		if err := s.write(ctx, c); err != nil {
			return release, fmt.Errorf("write %s to the runtime's store: %w", c.Descriptor.Digest, err)
		}
	}
	return release, nil
}

func (s *Store) write(ctx context.Context, c Content) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := s.content.Write(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Ref: "imagefit-" + c.Descriptor.Digest.String(),
		Total: int64(len(c.Body)), Expected: c.Descriptor.Digest.String(), Data: c.Body,
	})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) == codes.AlreadyExists { // another pull wrote it
		return nil
	}
	return err
}
