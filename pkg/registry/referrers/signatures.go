package referrers

import (
	"context"
	"errors"
	"slices"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/trust"
)

// maxBundles bounds the bundles of one manifest that are read.
const maxBundles = 8

// Signer is who signed an artifact.
type Signer struct {
	Name string `json:"name"` // of the key
	Key  string `json:"key"`  // its ID
	// Created is the time that the signed artifact states.
	Created time.Time `json:"created,omitzero"`
}

const (
	// notSigned are the words for what has no signature at all.
	notSigned = "unsigned"
	// notAbout are the words for what may be signed, but not for this image.
	notAbout = "it is not about the manifest it was found under"
)

// Bundle is a bundle that refers to a manifest.
type Bundle struct {
	Manifest digest.Digest
	Text     []byte
}

// Bundles returns the bundles that may sign a manifest, the newest first. One that cannot
// be read is left out: it signs nothing.
func Bundles(ctx context.Context, repo Repository, limits Limits, of ocispec.Descriptor) ([]Bundle, error) {
	listing, err := repo.List(ctx, of)
	if err != nil {
		return nil, err
	}
	listed := slices.DeleteFunc(slices.Clone(listing.Referrers), func(d ocispec.Descriptor) bool {
		return !registry.IsSignature(d) || !index.IsManifest(d.MediaType)
	})
	slices.SortStableFunc(listed, func(a, b ocispec.Descriptor) int {
		return registry.Created(b.Annotations).Compare(registry.Created(a.Annotations))
	})
	r := reader{repo: repo, Options: Options{Limits: limits}, subject: of}
	var bundles []Bundle
	for _, d := range listed[:min(len(listed), maxBundles)] {
		m, _, err := r.manifest(ctx, d)
		if err == nil && m.Subject == of.Digest {
			var text []byte
			if text, err = r.bundle(ctx, m); len(text) > 0 {
				bundles = append(bundles, Bundle{d.Digest, text})
			}
		}
		if err != nil && !registry.IsContentError(err) {
			return nil, err
		}
	}
	return bundles, nil
}

// bundle reads the bundle that a manifest carries; nil where it carries none.
func (r reader) bundle(ctx context.Context, m index.Manifest) ([]byte, error) {
	at := slices.IndexFunc(m.Layers, func(l ocispec.Descriptor) bool { return l.MediaType == trust.BundleType })
	if at < 0 || m.Layers[at].Size > trust.MaxBundle {
		return nil, nil
	}
	release, err := r.Limits.Reserve(ctx, m.Layers[at].Size)
	if err != nil {
		return nil, err
	}
	defer release()
	return fetch(ctx, r.repo.Blob, m.Layers[at])
}

// SignedBy returns the key that made one of the bundles for a subject, or why none of
// those to try did.
func SignedBy(bundles []Bundle, subject trust.Subject, try *trust.Attempts) (trust.Key, string) {
	why := notSigned
	for _, b := range bundles {
		bundle, err := trust.ReadBundle(b.Text)
		if err == nil {
			var key trust.Key
			if key, err = bundle.VerifySignature(subject, try); err == nil {
				return key, ""
			}
		}
		if why == notSigned || errors.Is(err, trust.ErrUnverified) {
			why = textutil.Line(err.Error(), maxProblem)
		}
	}
	return trust.Key{}, why
}

// signed notes who signed an artifact, by the bundles that refer to it. Only its manifest
// says which image it is about: without that, what was signed for another image would
// count for this one.
func (r reader) signed(artifacts []Artifact, bundles []Bundle, manifest []byte) {
	if len(artifacts) == 0 {
		return
	}
	key, why := trust.Key{}, notAbout
	if manifest != nil {
		key, why = SignedBy(bundles, trust.Subject{Digest: artifacts[0].Manifest, Content: manifest}, r.Keys)
	}
	for i := range artifacts {
		artifacts[i].note(key, why)
	}
}

// note notes the key that signed the artifact, or why none did.
func (a *Artifact) note(key trust.Key, why string) {
	if a.Unsigned = why; why == "" {
		a.Signer = &Signer{key.Name, key.ID, a.Created}
	}
}

// statement reads what a bundle states that an image needs; nil where it is about
// something else, such as a signature.
func (r reader) statement(ctx context.Context, a Artifact, m index.Manifest) ([]Artifact, error) {
	text, err := r.bundle(ctx, m)
	if err != nil || text == nil {
		return nil, IgnoreContent(err)
	}
	bundle, err := trust.ReadBundle(text)
	if err != nil {
		return nil, nil //nolint:nilerr // it states nothing
	}
	s, err := bundle.Statement()
	if err != nil || s.PredicateType != trust.PredicateCompatibility {
		return nil, nil //nolint:nilerr // it states something else
	}
	at := slices.IndexFunc(m.Layers, func(l ocispec.Descriptor) bool { return l.MediaType == trust.BundleType })
	a.Statement, a.Layer, a.Size = true, m.Layers[at].Digest, m.Layers[at].Size
	c, err := s.Compatibility()
	a.Created = c.Created
	about := m.Subject == r.subject.Digest && s.IsAbout(r.subject.Digest)
	if r.Keys != nil {
		a.note(r.stated(bundle, about))
	}
	switch {
	case !about:
		return a.unreadable(errors.New("its statement is not about the manifest it was found under")), nil
	case err != nil:
		return a.unreadable(err), nil
	}
	return r.described(a, c, text)
}

// stated returns the key that signed a statement about the subject, or why none did.
func (r reader) stated(bundle *trust.Bundle, about bool) (key trust.Key, why string) {
	if !about {
		return key, notAbout
	}
	key, err := bundle.VerifyEnvelope(r.Keys)
	if err != nil {
		why = textutil.Line(err.Error(), maxProblem)
	}
	return key, why
}

// IgnoreContent leaves the errors that the registry itself causes, not what it has.
func IgnoreContent(err error) error {
	if registry.IsContentError(err) {
		return nil
	}
	return err
}
