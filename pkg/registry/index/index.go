// Package index reads image indexes as people's tools write them: which of their
// entries are images, which may hold some, and what the others are.
package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// Docker's media types for what OCI calls an index and an image manifest.
const (
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

const (
	// MaxEntries bounds the entries of an index.
	MaxEntries = 1_000
	maxValues  = 100_000
	maxText    = 300 // of what an index holds, in an error

	dockerConfig = "application/vnd.docker.container.image.v1+json"

	// attestation is BuildKit's annotation on entries that describe other entries.
	attestation = "vnd.docker.reference.type"
)

// IsIndex reports whether a media type is that of an image index.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerList
}

// IsManifest reports whether a media type is that of an image manifest.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}

// Entry is a descriptor of an index, with its platform also as it is written:
// several proposals put more into it than image-spec knows.
type Entry struct {
	ocispec.Descriptor
	RawPlatform json.RawMessage
}

// UnmarshalJSON reads a descriptor and keeps its platform.
func (e *Entry) UnmarshalJSON(text []byte) error {
	var raw struct {
		Platform json.RawMessage `json:"platform"`
	}
	if err := json.Unmarshal(text, &e.Descriptor); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	e.RawPlatform = raw.Platform
	return nil
}

// MarshalJSON writes the descriptor with its platform as it was written.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ocispec.Descriptor
		Platform json.RawMessage `json:"platform,omitempty"`
	}{e.Descriptor, e.RawPlatform})
}

// Parse returns all entries of an index. They are counted as they are read.
func Parse(body []byte) ([]Entry, error) {
	if document.Values(body) > maxValues {
		return nil, fmt.Errorf("the index has more than %d values", maxValues)
	}
	var index struct {
		Manifests few[Entry] `json:"manifests"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, errors.New(textutil.Line("read index: "+err.Error(), maxText))
	}
	if index.Manifests.more {
		return nil, fmt.Errorf("the index has more than the %d entries that are read", MaxEntries)
	}
	return index.Manifests.list, nil
}

// Annotation returns an annotation of the index itself, "" where it has none.
func Annotation(body []byte, key string) string {
	var index struct {
		Annotations map[string]string `json:"annotations"`
	}
	if !bytes.Contains(body, []byte(key)) || json.Unmarshal(body, &index) != nil {
		return ""
	}
	return index.Annotations[key]
}

// Kind is what an entry of an index is.
type Kind int

// The kinds of entries.
const (
	// Other is not an image, such as an attestation.
	Other Kind = iota
	// Image is an image for the platform that the entry states.
	Image
	// Unstated is an image manifest, or looks like one, whose entry states no
	// platform: that of its config counts.
	Unstated
	// Nested is an index within the index.
	Nested
)

// Kind tells what the entry is, and of what is not an image why.
func (e Entry) Kind() (Kind, string) {
	switch {
	case !e.hasDigest():
		return Other, fmt.Sprintf("digest %q is not a sha256 digest", textutil.Cut(e.Digest.String(), maxText))
	case e.Size <= 0:
		return Other, fmt.Sprintf("size is %d", e.Size)
	case e.Annotations[attestation] != "":
		return Other, "attestation"
	case !IsImageType(e.ArtifactType):
		return Other, "artifact of type " + textutil.Line(e.ArtifactType, maxText)
	case IsIndex(e.MediaType):
		return Nested, ""
	case !IsManifest(e.MediaType):
		return Other, "media type " + textutil.Line(e.MediaType, maxText)
	case e.Platform == nil, e.Platform.Architecture == "":
		return Unstated, ""
	case e.Platform.OS == "unknown", e.Platform.Architecture == "unknown":
		return Other, "platform " + PlatformName(e.Platform)
	}
	return Image, ""
}

// IsImageType reports whether an artifact type is that of images: none at all, or
// the media type of an image config, which go-containerregistry and oras write into
// every entry as image-spec has it. Very old images call their config
// application/octet-stream.
func IsImageType(artifactType string) bool {
	switch artifactType {
	case "", ocispec.MediaTypeImageConfig, dockerConfig, "application/octet-stream":
		return true
	}
	return false
}

// IsSubject reports whether artifacts may be attached to the entry: to images, and
// to what may hold one.
func (e Entry) IsSubject() bool {
	kind, _ := e.Kind()
	return kind != Other
}

func (e Entry) hasDigest() bool {
	return e.Digest.Validate() == nil && e.Digest.Algorithm() == digest.SHA256
}

// PlatformName is a platform as people write it, such as linux/amd64/v3.
func PlatformName(p *ocispec.Platform) string {
	if p == nil {
		return "no platform"
	}
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	if p.OSVersion != "" {
		name += " " + p.OSVersion
	}
	return textutil.Line(name, maxText)
}
