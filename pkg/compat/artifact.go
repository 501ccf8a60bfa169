package compat

import (
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DockerManifest is the media type of Docker's image manifests.
const DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

// IsManifest reports whether a media type is that of an image manifest.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}

// LikelyArtifacts keeps the referrers that may be compatibility artifacts, each
// once, the newest first. A registry that names one of them rightly is taken at
// its word for the others; where none is named, some registries report no type
// or a wrong one, so the artifacts' own manifests must be asked.
func LikelyArtifacts(referrers []ocispec.Descriptor) []ocispec.Descriptor {
	var named, other []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, r := range referrers {
		again := seen[r.Digest]
		seen[r.Digest] = true
		switch {
		case again, !IsManifest(r.MediaType):
		case IsArtifactType(r.ArtifactType):
			named = append(named, r)
		default:
			other = append(other, r)
		}
	}
	if len(named) == 0 {
		named = other
	}
	slices.SortStableFunc(named, func(a, b ocispec.Descriptor) int {
		return CreatedAt(b.Annotations).Compare(CreatedAt(a.Annotations))
	})
	return named
}

// CreatedAt is the time of an artifact, zero where it says none. The proposals
// print the annotation with a misspelt prefix, so artifacts copied from them
// carry that.
func CreatedAt(annotations map[string]string) time.Time {
	for _, key := range []string{ocispec.AnnotationCreated, "oci.opencontainers.image.created"} {
		if t, err := time.Parse(time.RFC3339, annotations[key]); err == nil {
			return t
		}
	}
	return time.Time{}
}

// TypeOf asks an artifact itself for its type. Before OCI 1.1 it was the media
// type of its config.
func TypeOf(m ocispec.Manifest) string {
	if m.ArtifactType != "" {
		return m.ArtifactType
	}
	return m.Config.MediaType
}
