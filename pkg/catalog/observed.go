package catalog

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// Kinds of manifests.
const (
	kindImage = iota
	kindIndex
	kindOther
)

// Observed is what a source has of one name: an image, or an index of several.
type Observed struct {
	Repository string // with its registry
	Name       string // tag, or digest; none of a base image
	Top        Manifest
	Priorities string // of the author, where the index states some
	Variants   []Variant
	Subjects   []Subject // Top, indexes within it, and images
}

// Manifest is what is kept of an index or of the manifest of an image, with its config.
type Manifest struct {
	Digest  digest.Digest
	Index   bool
	Other   bool  // it is not an image
	Size    int64 // of the manifest itself
	Content int64 // of all layers
	Config  digest.Digest
	Created time.Time // of the config
	Base    description.Base
	Problem string // why it could not be read
	// Environment has the variables of the config by which an image asks for NVIDIA's driver.
	Environment map[string]string
}

// Variant is an entry of an index, or the one image without one.
type Variant struct {
	Manifest Manifest
	Within   digest.Digest // the index within the index that it is in
	Platform string
	Claims   Claims
	Reason   string // why it is not an image that a node could run
	within   []digest.Digest
}

// Claims are what an entry states of itself.
type Claims struct {
	Platform    json.RawMessage   `json:"platform,omitempty"` // as it is written
	Annotations map[string]string `json:"annotations,omitempty"`
}

func (c Claims) isEmpty() bool {
	return len(c.Platform) == 0 && len(c.Annotations) == 0
}

// Subject is a manifest with what refers to it, as one repository has it.
type Subject struct {
	Digest    digest.Digest
	Listing   string // stands for the list of referrers
	Unchanged bool   // the list is the one that is recorded
	Fresh     bool   // the recorded list is current, and was not asked for
	Others    int    // referrers that are something else
	Artifacts []referrers.Artifact
	// Together tells which of the artifacts are current where it does not matter who signed
	// them; nil where that was not asked.
	Together []bool
	// Signer is who signed what has a name, or Unsigned why no key did.
	Signer   *referrers.Signer
	Unsigned string
}
