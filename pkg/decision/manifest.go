package decision

import (
	"context"
	"encoding/json"
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
func (l *lookup) imageManifest(ctx context.Context, desc ocispec.Descriptor) (ocispec.Manifest, error) {
	body, err := l.imageContent(ctx, desc)
	if err != nil {
		return ocispec.Manifest{}, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return ocispec.Manifest{}, fmt.Errorf("%w: read manifest: %w", registry.ErrCorrupt, err)
	}
	if ok, what := index.IsImageManifest(m); !ok {
		return ocispec.Manifest{}, notImageError(what)
	}
	return m, nil
}

// configPlatform reads the platform that the config of an image states.
func (l *lookup) configPlatform(ctx context.Context, m ocispec.Manifest) (ocispec.Platform, error) {
	var p ocispec.Platform
	return p, l.readConfig(ctx, m, &p)
}

// readConfig reads the config of an image into a value.
func (l *lookup) readConfig(ctx context.Context, m ocispec.Manifest, into any) error {
	body, err := l.Blob(ctx, m.Config)
	if err != nil {
		return fmt.Errorf("read the image config: %w", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: read the image config: %w", registry.ErrCorrupt, err)
	}
	return nil
}
