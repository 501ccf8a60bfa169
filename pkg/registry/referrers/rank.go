package referrers

import (
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

// rank puts the newest first and marks what is current: of each kind the newest
// artifact, with all its bodies. Of artifacts of one time, or without one, the
// digest decides, so that the answer does not depend on the registry's order. One
// that cannot be read is current until something newer can be.
func rank(artifacts []Artifact) {
	slices.SortStableFunc(artifacts, func(a, b Artifact) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(string(b.Manifest), string(a.Manifest))
	})
	type class struct {
		Kind
		signed bool // what is not signed replaces nothing that is
	}
	of := func(a *Artifact) class { return class{a.Kind(), a.Signer != nil} }
	newest := map[class]digest.Digest{}
	for i := range artifacts {
		a := &artifacts[i]
		if _, ok := newest[of(a)]; !ok {
			newest[of(a)] = a.Manifest
		}
		superseded := a.Kind() == Kind{} && !a.Created.IsZero() && slices.ContainsFunc(artifacts[:i], func(b Artifact) bool {
			return b.Kind() != Kind{} && of(&b).signed == of(a).signed && b.Created.After(a.Created)
		})
		a.Current = newest[of(a)] == a.Manifest && !superseded
	}
}

// likely keeps the referrers that may be compatibility artifacts, each once, the
// newest first. A registry that names one of them rightly is taken at its word for
// the others; where none is named, some registries report no type or a wrong one,
// so the artifacts' own manifests must be asked.
func likely(referrers []ocispec.Descriptor) []ocispec.Descriptor {
	var named, other []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, r := range referrers {
		again := seen[r.Digest]
		seen[r.Digest] = true
		switch {
		case again, !index.IsManifest(r.MediaType):
		case dialect.IsArtifactType(r.ArtifactType), registry.IsStatement(r):
			named = append(named, r)
		default:
			other = append(other, r)
		}
	}
	if len(named) == 0 {
		named = other
	}
	slices.SortStableFunc(named, func(a, b ocispec.Descriptor) int {
		return registry.Created(b.Annotations).Compare(registry.Created(a.Annotations))
	})
	return named
}

// typeOf asks an artifact itself for its type. Before OCI 1.1 it was the media type
// of its config.
func typeOf(m index.Manifest) string {
	if m.ArtifactType != "" {
		return m.ArtifactType
	}
	return m.Config.MediaType
}
