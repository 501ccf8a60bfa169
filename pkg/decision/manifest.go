package decision

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// notImageError says of what a manifest is that is not that of an image, such as of a
// chart.
type notImageError string

func (e notImageError) Error() string { return string(e) }

// imageManifest reads the manifest of an image.
func (l *lookup) imageManifest(ctx context.Context, desc ocispec.Descriptor) (index.Manifest, error) {
	release, err := l.Reserve(ctx, desc.Size)
	if err != nil {
		return index.Manifest{}, err
	}
	defer release()
	body, err := l.imageContent(ctx, desc)
	if err != nil {
		return index.Manifest{}, err
	}
	m, err := index.ParseManifest(body)
	if err != nil {
		return index.Manifest{}, fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
	}
	if ok, what := m.IsImage(); !ok {
		return index.Manifest{}, notImageError(what)
	}
	return m, nil
}

// isImage is isImageFunc for a pull.
func (l *lookup) isImage(ctx context.Context, c *Candidate) error {
	_, err := l.imageManifest(ctx, c.descriptor)
	return err
}

// configPlatform reads the platform that the config of an image states.
func (l *lookup) configPlatform(ctx context.Context, m index.Manifest) (ocispec.Platform, error) {
	var p ocispec.Platform
	return p, l.readConfig(ctx, m, &p)
}

// readConfig reads the config of an image into a value.
func (l *lookup) readConfig(ctx context.Context, m index.Manifest, into any) error {
	release, err := l.Reserve(ctx, m.Config.Size)
	if err != nil {
		return err
	}
	defer release()
	body, err := l.Blob(ctx, m.Config)
	if err != nil {
		return fmt.Errorf("read the image config: %w", err)
	}
	if err := index.ParseConfig(body, into); err != nil {
		return fmt.Errorf("%w: read the image config: %w", registry.ErrCorrupt, err)
	}
	return nil
}
