// Package publish finds out what the variants of an image in a registry need: by what
// is in them, and by what their base images need.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// maxImage bounds the layers of one variant together.
const maxImage = 64 << 30

// ErrNotImage is matched by errors about what is not the manifest of an image.
var ErrNotImage = errors.New("it is not an image")

// Fetcher reads variants of one repository, to look into them.
type Fetcher struct {
	Repo *registry.Repository
	From inspect.Source // has the layers
}

// Manifest reads the manifest of a variant.
func (f *Fetcher) Manifest(ctx context.Context, subject ocispec.Descriptor) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	text, err := f.Repo.Manifest(ctx, subject)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	kind := index.Manifest{ArtifactType: m.ArtifactType, Config: m.Config}
	if ok, what := kind.IsImage(); !ok {
		return m, fmt.Errorf("%w: %s", ErrNotImage, what)
	}
	return m, nil
}

// Platform returns the platform of a variant: that of its entry in the index, or else of
// its config.
func (f *Fetcher) Platform(ctx context.Context, subject ocispec.Descriptor, m ocispec.Manifest) (*ocispec.Platform, error) {
	if subject.Platform != nil && subject.Platform.Architecture != "" {
		return subject.Platform, nil
	}
	text, err := f.Repo.Blob(ctx, m.Config)
	if err != nil {
		return nil, fmt.Errorf("read the image config: %w", err)
	}
	var p ocispec.Platform
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("read the image config: %w", err)
	}
	return &p, nil
}

// Inspect looks at the programs in the layers of a variant. step is told of each layer
// that is read.
func (f *Fetcher) Inspect(ctx context.Context, subject ocispec.Descriptor, m ocispec.Manifest, step func(string)) (*inspect.Contents, error) {
	var size int64
	for _, layer := range m.Layers {
		if size += max(layer.Size, 0); size > maxImage {
			return nil, fmt.Errorf("its layers have more than %d bytes", int64(maxImage))
		}
	}
	found, err := inspect.Image(ctx, telling{f.From, m.Layers, step}, subject, "")
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d images were found in it", len(found))
	}
	return found[0], nil
}

// telling tells of each layer that is read.
type telling struct {
	inspect.Source
	layers []ocispec.Descriptor
	step   func(string)
}

// Open implements inspect.Source.
func (t telling) Open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if slices.ContainsFunc(t.layers, func(l ocispec.Descriptor) bool { return l.Digest == d.Digest }) {
		t.step(fmt.Sprintf("fetch layer %s, %d bytes", d.Digest, d.Size))
	}
	return t.Source.Open(ctx, d)
}
