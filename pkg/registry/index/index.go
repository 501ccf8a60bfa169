// Package index reads image indexes: which of their entries are images, and which
// images imagefit leaves to the runtime.
package index

import (
	"encoding/json"
	"errors"
	"fmt"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
)

// Docker's media types for what OCI calls an index and an image manifest.
const (
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

const (
	maxEntries = 1_000 // of an index
	maxText    = 300   // of what an index holds, in an error

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

// Parse returns all entries of an index.
func Parse(body []byte) ([]Entry, error) {
	var index struct {
		Manifests []Entry `json:"manifests"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, errors.New(textutil.Line("read index: "+err.Error(), maxText))
	}
	if len(index.Manifests) > maxEntries {
		return nil, fmt.Errorf("the index has %d entries, more than the %d that are read", len(index.Manifests), maxEntries)
	}
	return index.Manifests, nil
}

// Images keeps the entries that are images. What the runtime understands and
// imagefit does not, such as an index within the index, is an error: then the
// choice is the runtime's.
func Images(entries []Entry) ([]Entry, error) {
	var images []Entry
	for i, e := range entries {
		image, err := e.IsImage()
		if err != nil {
			return nil, fmt.Errorf("entry %d of the index: %w", i, err)
		}
		if image {
			images = append(images, e)
		}
	}
	return images, nil
}

// IsImage reports whether the entry is an image. The error says why imagefit
// cannot tell, or cannot choose the entry.
func (e Entry) IsImage() (bool, error) {
	switch {
	case IsIndex(e.MediaType):
		return false, errors.New("is an index itself")
	case !IsManifest(e.MediaType), e.ArtifactType != "", e.Annotations[attestation] != "":
		return false, nil
	case e.Platform == nil:
		return false, errors.New("states no platform")
	case e.Platform.OS == "unknown", e.Platform.Architecture == "unknown":
		return false, nil
	case !e.hasDigest():
		return false, fmt.Errorf("digest %q is not a sha256 digest", textutil.Cut(e.Digest.String(), maxText))
	case e.Size <= 0:
		return false, fmt.Errorf("size is %d", e.Size)
	}
	return true, nil
}

// IsSubject reports whether artifacts may be attached to the entry: to images, and
// to what may be one.
func (e Entry) IsSubject() bool {
	image, err := e.IsImage()
	return image || err != nil && e.hasDigest()
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
