package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

const (
	maxManifest = 4 << 20
	maxIndexes  = 8 // within each other
	maxVariants = 64
	maxLayers   = 512
	maxUnpacked = 64 << 30 // of a layer
)

// Source has the blobs of images.
type Source interface {
	// Open opens a manifest or a layer.
	Open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
}

// Image looks at the variants of an image: of all platforms, or of one.
func Image(ctx context.Context, from Source, top ocispec.Descriptor, platform string) ([]*Contents, error) {
	return images(ctx, from, []ocispec.Descriptor{top}, platform)
}

// Variants lists the images that a descriptor leads to: those of an index and of the
// indexes within, or the one that it is.
func Variants(ctx context.Context, from Source, top ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return variants(ctx, from, []ocispec.Descriptor{top}, 0)
}

func images(ctx context.Context, from Source, top []ocispec.Descriptor, platform string) ([]*Contents, error) {
	all, err := variants(ctx, from, top, 0)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(all, platform)
	if err != nil {
		return nil, err
	}
	found := make([]*Contents, 0, len(chosen))
	for _, d := range chosen {
		i := newContents()
		i.Platform = platformOf(d)
		if err := i.image(ctx, from, d); err != nil {
			return nil, fmt.Errorf("%s: %w", nameOf(d), err)
		}
		found = append(found, i)
	}
	return sorted(found), nil
}

// variants lists the images of an index, and of the indexes within.
func variants(ctx context.Context, from Source, entries []ocispec.Descriptor, depth int) (all []ocispec.Descriptor, err error) {
	if depth > maxIndexes {
		return nil, errors.New("indexes within indexes")
	}
	for _, d := range entries {
		switch {
		case d.Annotations["vnd.docker.reference.type"] != "" || !index.IsImageType(d.ArtifactType):
		case !index.IsIndex(d.MediaType):
			all = append(all, d)
		default:
			var inner ocispec.Index
			if err := readJSON(ctx, from, d, &inner); err != nil {
				return nil, err
			}
			below, err := variants(ctx, from, inner.Manifests, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		}
		if len(all) > maxVariants {
			return nil, fmt.Errorf("more than %d variants", maxVariants)
		}
	}
	return all, nil
}

// choose takes the variants for a platform, those that state none, or the only one.
func choose(all []ocispec.Descriptor, platform string) ([]ocispec.Descriptor, error) {
	if len(all) == 0 {
		return nil, errors.New("the image has no variant, only entries that are not images")
	}
	if platform == "" || len(all) == 1 {
		return all, nil
	}
	var names []string
	var fits []ocispec.Descriptor
	for _, d := range all {
		name := platformOf(d)
		if name == "" || name == platform || strings.HasPrefix(name, platform+"/") {
			fits = append(fits, d)
		}
		names = append(names, nameOf(d))
	}
	if len(fits) == 0 {
		return nil, fmt.Errorf("the image has no variant for %s, only %s", platform, textutil.Short(strings.Join(names, ", ")))
	}
	return fits, nil
}

func platformOf(d ocispec.Descriptor) string {
	if d.Platform == nil {
		return ""
	}
	return platformName(*d.Platform)
}

func platformName(p ocispec.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

// nameOf names a variant by its platform, its tag in a layout, or its digest.
func nameOf(d ocispec.Descriptor) string {
	for _, name := range []string{platformOf(d), d.Annotations[ocispec.AnnotationRefName]} {
		if name != "" {
			return textutil.Short(name)
		}
	}
	return textutil.Short(string(d.Digest))
}

// image looks at the layers of an image, the last first: what is in a layer
// replaces what is below.
func (i *Contents) image(ctx context.Context, from Source, d ocispec.Descriptor) error {
	var manifest ocispec.Manifest
	if err := readJSON(ctx, from, d, &manifest); err != nil {
		return err
	}
	if len(manifest.Layers) > maxLayers {
		return fmt.Errorf("more than %d layers", maxLayers)
	}
	if i.Platform == "" && manifest.Config.Digest != "" {
		var config ocispec.Image
		if err := readJSON(ctx, from, manifest.Config, &config); err == nil { // a layout may lack it, and older tools write none
			i.Platform = platformName(config.Platform)
		}
	}
	above := newShadow()
	for _, layer := range slices.Backward(manifest.Layers) {
		if err := i.blob(ctx, from, layer, above); err != nil {
			return fmt.Errorf("read layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

// blob looks at one layer and verifies its digest.
func (i *Contents) blob(ctx context.Context, from Source, d ocispec.Descriptor, above *shadow) error {
	if err := d.Digest.Validate(); err != nil {
		return err
	}
	f, err := from.Open(ctx, d)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	bounded := &io.LimitedReader{R: f, N: maxUnpacked}
	checked := io.TeeReader(bounded, sum)
	err = i.layer(ctx, checked, above)
	if err == nil {
		_, err = io.Copy(io.Discard, checked) // what follows the archive
	}
	got := digest.NewDigest(digest.SHA256, sum)
	switch {
	case bounded.N == 0:
		return fmt.Errorf("more than %d bytes", int64(maxUnpacked))
	case err == nil && d.Digest.Algorithm() == digest.SHA256 && got != d.Digest:
		return fmt.Errorf("the digest does not match, it is %s", got)
	default:
		return err
	}
}

// readJSON reads a manifest or config, and verifies its digest.
func readJSON(ctx context.Context, from Source, d ocispec.Descriptor, into any) error {
	if d.Digest.Validate() != nil {
		return fmt.Errorf("%q is not a digest", textutil.Short(string(d.Digest)))
	}
	f, err := from.Open(ctx, d)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	body, err := fsutil.ReadAll(string(d.Digest), f, maxManifest)
	if err != nil {
		return err
	}
	if d.Digest.Algorithm().FromBytes(body) != d.Digest {
		return fmt.Errorf("read %s: the digest does not match", d.Digest)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", d.Digest, err)
	}
	return nil
}
