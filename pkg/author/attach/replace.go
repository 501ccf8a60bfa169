package attach

import (
	"context"
	"slices"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// OfType returns the artifacts whose bodies are all of a type, each once: those
// that a new artifact of that type takes the place of. One that has bodies of
// other types too stays for their sake.
func (h Holder) OfType(of referrers.Kind) []ocispec.Descriptor {
	var found []ocispec.Descriptor
	for _, a := range h.Artifacts {
		again := slices.ContainsFunc(found, func(d ocispec.Descriptor) bool { return d.Digest == a.Digest })
		mixed := slices.ContainsFunc(h.Artifacts, func(b Artifact) bool {
			return b.Digest == a.Digest && b.kind() != of
		})
		if !again && !mixed {
			found = append(found, a.referrer)
		}
	}
	return found
}

// Used returns the artifacts that are used and are not a signed statement, each once.
func (h Holder) Used() []ocispec.Descriptor {
	var found []ocispec.Descriptor
	for _, a := range h.Artifacts {
		again := slices.ContainsFunc(found, func(d ocispec.Descriptor) bool { return d.Digest == a.Digest })
		if a.Counts && !again && a.referrer.Digest != "" && a.referrer.ArtifactType != trust.BundleType {
			found = append(found, a.referrer)
		}
	}
	return found
}

// After returns a time that makes an artifact the newest: now, or if what is attached
// of the type claims to be as new, the second after that.
func (h Holder) After(of referrers.Kind, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	for _, a := range h.Artifacts {
		if a.kind() == of && a.Created != nil && !a.Created.Before(now) {
			now = a.Created.UTC().Truncate(time.Second).Add(time.Second)
		}
	}
	return now
}

// Replaced says what became of the artifacts that a new one took the place of.
type Replaced struct {
	Removed []digest.Digest `json:"removed,omitempty"`
	// Superseded are still listed, for the registry does not delete; the new
	// artifact is used, being newer.
	Superseded []digest.Digest `json:"superseded,omitempty"`
	Why        string          `json:"why,omitempty"` // the registry's answer
}

// Replace deletes what a new artifact took the place of, after Push. A registry
// that does not delete is not an error.
func (t *Target) Replace(ctx context.Context, repo *registry.Repository, subject Subject, old []ocispec.Descriptor, step func(string)) (Replaced, error) {
	var r Replaced
	refused := false
	for _, o := range old {
		step("delete " + o.Digest.String())
		if err := t.Delete(ctx, o); err != nil {
			if ctx.Err() != nil {
				return r, err
			}
			refused, r.Why = true, err.Error()
		}
	}
	listed := []ocispec.Descriptor{}
	if refused { // one that is gone from the list under a tag is as good as deleted
		var err error
		if listed, err = repo.Referrers(ctx, subject.Descriptor); err != nil {
			return r, err
		}
	}
	for _, o := range old {
		if slices.ContainsFunc(listed, func(d ocispec.Descriptor) bool { return d.Digest == o.Digest }) {
			r.Superseded = append(r.Superseded, o.Digest)
		} else {
			r.Removed = append(r.Removed, o.Digest)
		}
	}
	return r, nil
}
