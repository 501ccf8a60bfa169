// Package names keeps the names of images that the runtime cannot keep itself: a
// reference by the digest of an index stands for a variant of it, whose digest is
// another, and so does a tag where the runtime's records of tags are read by others.
//
// A [Keeper] answers from memory. A [Store] has the names for good: the runtime's own
// records where it has some, [Files] elsewhere.
package names

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Name is a name of an image on the node.
type Name struct {
	// Reference is the name, with a tag or a digest, as the runtime normalises it.
	Reference string `json:"reference"`
	// ImageID is the image's in the CRI.
	ImageID string `json:"imageID"`
	// Manifest is the image's manifest.
	Manifest digest.Digest `json:"manifest"`
	// Index is what the manifest was chosen from, empty for a name of the manifest itself.
	Index digest.Digest `json:"index,omitempty"`
	// Implied is true of the name by the digest of an index that nothing was pulled by: it
	// resolves as long as the image is there for another name.
	Implied bool `json:"implied,omitempty"`
	// Since is when the name was given to this image.
	Since time.Time `json:"since"`
	// Namespace and Pod are of the pod that the image was pulled for, if for any.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
}

// same reports whether nothing but the times and pods differ.
func (n Name) same(o Name) bool {
	return n.Reference == o.Reference && n.ImageID == o.ImageID && n.Manifest == o.Manifest && n.Index == o.Index && n.Implied == o.Implied
}

// IsShort reports whether a reference names no registry.
func IsShort(ref string) bool {
	first, _, ok := strings.Cut(ref, "/")
	return !ok || first != "localhost" && !strings.ContainsAny(first, ".:")
}

// ErrUnsupported is the error of a [Store] that a runtime does not have.
var ErrUnsupported = errors.New("the runtime does not have this store")

// Store has names for good.
type Store interface {
	// Load returns all names.
	Load(ctx context.Context) ([]Name, error)
	// Has reports whether a name is there as it was saved: clients of the runtime remove
	// its records, and with them the names.
	Has(ctx context.Context, n Name) bool
	// Save writes a name, in the place of the one with the same reference and image.
	Save(ctx context.Context, n Name) error
	// Delete removes a name; that it is not there is no error.
	Delete(ctx context.Context, n Name) error
}
