package decision

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
)

const (
	dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

	maxEntries    = 1_000 // of an index
	maxCandidates = 256   // of these, for one node
)

// errNotLookedInto marks an index that the runtime may understand and this does
// not.
var errNotLookedInto = errors.New("index not looked into")

// attestation is BuildKit's annotation on entries that are no images.
const attestation = "vnd.docker.reference.type"

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerList
}

// entry is a descriptor of an index, with its platform also as it is written:
// several proposals put more into it than image-spec knows.
type entry struct {
	ocispec.Descriptor
	platform json.RawMessage
}

// UnmarshalJSON reads a descriptor and keeps its platform.
func (e *entry) UnmarshalJSON(text []byte) error {
	var raw struct {
		Platform json.RawMessage `json:"platform"`
	}
	if err := json.Unmarshal(text, &e.Descriptor); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	e.platform = raw.Platform
	return nil
}

// parseIndex returns the entries of an index that are images. What the runtime
// understands and this does not, such as an index within the index, is an
// error: then the choice is the runtime's.
func parseIndex(body []byte) ([]entry, error) {
	var index struct {
		Manifests []entry `json:"manifests"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, errors.New(Line("read index: " + err.Error()))
	}
	if len(index.Manifests) > maxEntries {
		return nil, fmt.Errorf("the index has %d entries, more than the %d that are looked at", len(index.Manifests), maxEntries)
	}
	var images []entry
	for i, e := range index.Manifests {
		image, err := isImage(e.Descriptor)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the index: %w", i, err)
		}
		if image {
			images = append(images, e)
		}
	}
	return images, nil
}

func isImage(entry ocispec.Descriptor) (bool, error) {
	switch {
	case isIndex(entry.MediaType):
		return false, errors.New("is an index itself")
	case !compat.IsManifest(entry.MediaType), entry.ArtifactType != "":
		return false, nil
	case entry.Annotations[attestation] != "":
		return false, nil
	case entry.Platform == nil:
		return false, errors.New("states no platform")
	case entry.Platform.OS == "unknown", entry.Platform.Architecture == "unknown":
		return false, nil
	}
	if err := entry.Digest.Validate(); err != nil || entry.Digest.Algorithm() != digest.SHA256 {
		return false, fmt.Errorf("digest %q is no sha256 digest", textutil.Cut(entry.Digest.String(), maxWords))
	}
	if entry.Size <= 0 {
		return false, fmt.Errorf("size is %d", entry.Size)
	}
	return true, nil
}

// candidates keeps the entries that the node could run.
func (n node) candidates(entries []entry) ([]entry, error) {
	var kept []entry
	for _, e := range entries {
		if n.canRun(*e.Platform) {
			kept = append(kept, e)
		}
	}
	if len(kept) > maxCandidates {
		return nil, fmt.Errorf("the index has %d entries for this node, more than the %d that are looked at", len(kept), maxCandidates)
	}
	return kept, nil
}
