package stack

import (
	"context"
	"errors"
	"fmt"
	"io"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
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
	ctx = inNamespace(ctx)
	reply, err := imagesapi.NewImagesClient(c.CRI.Conn()).List(ctx, &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containerd's image records: %w", err)
	}
	return reply.GetImages(), nil
}

// RemoveRecord removes one image record as `ctr -n k8s.io images rm --sync` does:
// the others of the same image stay. CRI learns of it by an event, a little later.
func (c *Containerd) RemoveRecord(ctx context.Context, name string) error {
	request := &imagesapi.DeleteImageRequest{Name: name, Sync: true}
	if _, err := imagesapi.NewImagesClient(c.CRI.Conn()).Delete(inNamespace(ctx), request); err != nil {
		return fmt.Errorf("remove containerd's image record %s: %w", name, err)
	}
	return nil
}

// Content is what lies in containerd's content store in the namespace of CRI, as
// `ctr -n k8s.io content ls` shows it.
func (c *Containerd) Content(ctx context.Context) (map[digest.Digest]bool, error) {
	stream, err := contentapi.NewContentClient(c.CRI.Conn()).List(inNamespace(ctx), &contentapi.ListContentRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containerd's content: %w", err)
	}
	content := map[digest.Digest]bool{}
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return content, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list containerd's content: %w", err)
		}
		for _, info := range page.GetInfo() {
			content[digest.Digest(info.GetDigest())] = true
		}
	}
}

// inNamespace says whose images are meant, which containerd's own services ask.
func inNamespace(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "k8s.io")
}
