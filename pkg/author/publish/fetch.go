// Package publish finds out what the variants of an image in a registry need: by what
// is in them, and by what their base images need.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// maxImage bounds the layers of one variant together.
const maxImage = 64 << 30

// ErrNotImage is matched by errors about what is not the manifest of an image.
var ErrNotImage = errors.New("it is not an image")

// Fetcher brings variants of one repository into a folder, to look into them.
type Fetcher struct {
	Repo   *registry.Repository
	Target *attach.Target
	Dir    string // for content, which the caller removes
}

// Manifest reads the manifest of a variant.
func (f *Fetcher) Manifest(ctx context.Context, subject ocispec.Descriptor) (ocispec.Manifest, []byte, error) {
	var m ocispec.Manifest
	if index.IsIndex(subject.MediaType) {
		return m, nil, errors.New("it is an index within the index: publish the inner one by its digest")
	}
	text, err := f.Repo.Manifest(ctx, subject)
	if err != nil {
		return m, nil, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, nil, fmt.Errorf("read manifest: %w", err)
	}
	kind := index.Manifest{ArtifactType: m.ArtifactType, Config: m.Config}
	if ok, what := kind.IsImage(); !ok {
		return m, nil, fmt.Errorf("%w: %s", ErrNotImage, what)
	}
	return m, text, nil
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

// Inspect fetches the layers of a variant and looks at the programs in them. step is
// told of each layer that is fetched.
func (f *Fetcher) Inspect(ctx context.Context, subject ocispec.Descriptor, m ocispec.Manifest, manifest []byte, step func(string)) (*inspect.Contents, error) {
	var size int64
	for _, layer := range m.Layers {
		if size += max(layer.Size, 0); size > maxImage {
			return nil, fmt.Errorf("its layers have more than %d bytes", int64(maxImage))
		}
	}
	if err := f.write(subject.Digest, manifest); err != nil {
		return nil, err
	}
	for _, layer := range m.Layers {
		if err := f.layer(ctx, layer, step); err != nil {
			return nil, fmt.Errorf("fetch layer %s: %w", layer.Digest, err)
		}
	}
	top, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{subject}})
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"index.json": top, ocispec.ImageLayoutFile: []byte(`{"imageLayoutVersion": "1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(f.Dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	found, err := inspect.Path(ctx, f.Dir, "")
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d images were found in it", len(found))
	}
	return found[0], nil
}

func (f *Fetcher) path(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", err
	}
	dir := filepath.Join(f.Dir, "blobs", d.Algorithm().String())
	return filepath.Join(dir, d.Encoded()), os.MkdirAll(dir, 0o700)
}

func (f *Fetcher) write(d digest.Digest, text []byte) error {
	name, err := f.path(d)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

// layer fetches a layer that is not there yet; variants share layers. Its digest is
// verified when it is read.
func (f *Fetcher) layer(ctx context.Context, layer ocispec.Descriptor, step func(string)) (err error) {
	name, err := f.path(layer.Digest)
	if err != nil {
		return err
	}
	if info, err := os.Stat(name); err == nil && info.Size() == layer.Size {
		return nil
	}
	step(fmt.Sprintf("fetch layer %s, %d bytes", layer.Digest, layer.Size))
	from, err := f.Target.Blob(ctx, layer)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(from, layer.Size+1))
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	if n != layer.Size {
		return fmt.Errorf("it has %d bytes, not the %d of its descriptor", n, layer.Size)
	}
	return nil
}
