package stack

import (
	"context"
	"fmt"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/metadata"
)

// Images are containerd's own image records in the namespace of CRI, as
// `ctr -n k8s.io images ls` shows them: names and what they point at.
func (c *Containerd) Images(ctx context.Context) (map[string]digest.Digest, error) {
	records, err := c.Records(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]digest.Digest, len(records))
	for _, record := range records {
		byName[record.GetName()] = digest.Digest(record.GetTarget().GetDigest())
	}
	return byName, nil
}

// Records are the same in full, with labels and media types.
func (c *Containerd) Records(ctx context.Context) ([]*imagesapi.Image, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "k8s.io")
	reply, err := imagesapi.NewImagesClient(c.CRI.Conn()).List(ctx, &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containerd's image records: %w", err)
	}
	return reply.GetImages(), nil
}
