package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

const (
	maxManifest  = 4 << 20
	maxIndexes   = 8 // within each other
	maxLayers    = 512
	maxUnpacked  = 64 << 30 // of a layer
	whiteout     = ".wh."
	opaqueMarker = ".wh..wh..opq"
)

// opener opens a file of an OCI layout.
type opener func(name string) (fs.File, error)

// image looks at the layers of an image, the last first: what is in a layer
// replaces what is below.
func (i *Contents) image(ctx context.Context, open opener, platform string) error {
	var top ocispec.Index
	if err := readJSONFile(open, "index.json", "", &top); err != nil {
		return err
	}
	descriptor, err := choose(open, top.Manifests, platform, 0)
	if err != nil {
		return err
	}
	var manifest ocispec.Manifest
	if err := readJSONFile(open, blobPath(descriptor.Digest), descriptor.Digest, &manifest); err != nil {
		return err
	}
	if len(manifest.Layers) > maxLayers {
		return fmt.Errorf("more than %d layers", maxLayers)
	}
	above := newShadow()
	for _, layer := range slices.Backward(manifest.Layers) {
		if err := i.blob(ctx, open, layer.Digest, above); err != nil {
			return fmt.Errorf("read layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

// blob looks at one layer and verifies its digest.
func (i *Contents) blob(ctx context.Context, open opener, d digest.Digest, above *shadow) error {
	if err := d.Validate(); err != nil {
		return err
	}
	f, err := open(blobPath(d))
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
	case err == nil && d.Algorithm() == digest.SHA256 && got != d:
		return fmt.Errorf("the digest does not match, it is %s", got)
	default:
		return err
	}
}

// choose takes the manifest of a platform, or the only one.
func choose(open opener, manifests []ocispec.Descriptor, platform string, depth int) (ocispec.Descriptor, error) {
	images := slices.DeleteFunc(slices.Clone(manifests), func(d ocispec.Descriptor) bool {
		return d.Annotations["vnd.docker.reference.type"] != "" || !index.IsImageType(d.ArtifactType)
	})
	var fits []ocispec.Descriptor
	var names []string
	for _, d := range images {
		name := ""
		if p := d.Platform; p != nil {
			name = strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
			names = append(names, name)
		}
		if name == "" || name == platform || strings.HasPrefix(name, platform+"/") {
			fits = append(fits, d)
		}
	}
	if len(images) == 1 {
		fits = images
	}
	if len(names) == 0 {
		names = []string{"entries that are not images"}
	}
	if len(fits) == 0 {
		return ocispec.Descriptor{}, fmt.Errorf("the image has no variant for %s, only %s", platform, textutil.Short(strings.Join(names, ", ")))
	}
	d := fits[0]
	if !index.IsIndex(d.MediaType) {
		return d, nil
	}
	if depth == maxIndexes {
		return d, errors.New("indexes within indexes")
	}
	var inner ocispec.Index
	if err := readJSONFile(open, blobPath(d.Digest), d.Digest, &inner); err != nil {
		return d, err
	}
	return choose(open, inner.Manifests, platform, depth+1)
}

func blobPath(d digest.Digest) string {
	algorithm, hex, _ := strings.Cut(string(d), ":")
	return path.Join("blobs", algorithm, hex)
}

// readJSONFile reads a file of the layout, and verifies its digest.
func readJSONFile(open opener, name string, d digest.Digest, into any) error {
	if d != "" && d.Validate() != nil {
		return fmt.Errorf("%q is not a digest", textutil.Short(string(d)))
	}
	f, err := open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	body, err := fsutil.ReadAll(name, f, maxManifest)
	if err != nil {
		return err
	}
	if d != "" && d.Algorithm().FromBytes(body) != d {
		return fmt.Errorf("read %s: the digest does not match", name)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// shadow is what the layers above hide.
type shadow struct {
	files  map[string]bool // there, or removed with all that is below
	opaque map[string]bool // directories of which nothing below is seen
}

func newShadow() *shadow { return &shadow{map[string]bool{}, map[string]bool{}} }

// whiteout takes a mark that removes something of the layers below.
func (s *shadow) whiteout(name string) bool {
	dir, base := path.Split(name)
	if base == opaqueMarker {
		s.opaque[strings.TrimSuffix(dir, "/")] = true
		return true
	}
	removed, ok := strings.CutPrefix(base, whiteout)
	if ok {
		s.files[dir+removed] = true
	}
	return ok
}

func (s *shadow) hides(name string) bool {
	if s.files[name] {
		return true
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if dir == "." {
			return s.opaque[""]
		}
		if s.files[dir] || s.opaque[dir] {
			return true
		}
	}
}
