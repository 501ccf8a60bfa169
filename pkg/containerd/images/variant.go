package images

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxEntries bounds how many entries of an index are looked up in the content store.
const maxEntries = 64

// Variant is an image on the node as an entry of an index.
type Variant struct {
	Manifest digest.Digest     // empty where it is not found
	Index    digest.Digest     // empty where the manifest does not come from one
	Platform *ocispec.Platform // that the index states, or else the config; nil where neither does
}

// VariantOf finds out which manifest an image is that a record points at: the target, or
// an entry of it. index is what the target was chosen from, config is the image id, and
// either may be empty. Everything is read from the runtime's content store, and what is
// not there stays empty.
func (s *Store) VariantOf(ctx context.Context, target, index, config digest.Digest) (Variant, error) {
	ctx, cancel := context.WithTimeout(s.scoped(ctx), timeout)
	defer cancel()
	v := Variant{Index: index}
	var body struct {
		Config    ocispec.Descriptor   `json:"config"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := s.decode(ctx, target, &body); err != nil {
		return v, fmt.Errorf("read %s: %w", target, err)
	}
	if len(body.Manifests) > 0 {
		v.Index = target
		v.choose(body.Manifests, func(entry digest.Digest) bool {
			var m ocispec.Manifest
			return s.decode(ctx, entry, &m) == nil && m.Config.Digest == config
		})
	} else {
		v.Manifest, config = target, body.Config.Digest
		var from ocispec.Index
		if index != "" && s.decode(ctx, index, &from) == nil {
			v.choose(from.Manifests, func(entry digest.Digest) bool { return entry == target })
		}
	}
	if v.Platform == nil && config != "" {
		var p ocispec.Platform
		if s.decode(ctx, config, &p) == nil && p.OS != "" && p.Architecture != "" {
			v.Platform = &p
		}
	}
	return v, nil
}

// choose takes the manifest and the platform of the first entry that is the image.
func (v *Variant) choose(entries []ocispec.Descriptor, is func(digest.Digest) bool) {
	for _, entry := range entries[:min(len(entries), maxEntries)] {
		if is(entry.Digest) {
			v.Manifest, v.Platform = entry.Digest, entry.Platform
			return
		}
	}
}
