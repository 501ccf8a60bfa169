package decision

import (
	"context"
	"errors"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	// maxSimpleSignatures bounds the signatures under the tag of an index, and
	// maxSimpleManifest their manifest.
	maxSimpleSignatures = 16
	maxSimpleManifest   = 256 << 10
)

// signature finds out who signed an index: by a bundle that refers to it, or by a
// signature under the tag that cosign up to 2 gives it. A signature that was verified
// before needs no request, and hiding it does nothing.
func (l *lookup) signature(ctx context.Context, n *Needs) error {
	if l.keys == nil {
		return nil
	}
	if by := l.seen(n.Top.Digest).Signer; by != nil {
		if key, trusted := l.ev.Rules.Trust.For(l.name).Has(by.Key); trusted {
			n.Signer = &referrers.Signer{Name: key.Name, Key: key.ID}
			return nil
		}
	}
	bundles, err := referrers.Bundles(ctx, l, l, n.Top)
	if err != nil {
		return err
	}
	subject := trust.Subject{Digest: n.Top.Digest}
	if len(bundles) > 0 {
		release, err := l.Reserve(ctx, n.Top.Size)
		if err != nil {
			return err
		}
		defer release()
		if subject.Content, err = l.Manifest(ctx, n.Top); err != nil {
			return err
		}
	}
	key, why := referrers.SignedBy(bundles, subject, l.keys)
	if why != "" {
		var found bool
		if key, found, err = l.simpleSignature(ctx, n.Top.Digest); err != nil {
			return err
		} else if found {
			why = ""
		}
	}
	if n.Unsigned = why; why == "" {
		n.Signer = &referrers.Signer{Name: key.Name, Key: key.ID}
		l.update(n.Top.Digest, func(s *seen) { s.Signer = n.Signer })
	}
	return nil
}

// simpleSignature looks for a signature under a tag. What is there and cannot be read
// signs nothing.
func (l *lookup) simpleSignature(ctx context.Context, of digest.Digest) (key trust.Key, found bool, err error) {
	if err := l.slots.Acquire(ctx, 1); err != nil {
		return key, false, err
	}
	_, body, err := l.repo.FetchUpTo(ctx, trust.SimpleTag(of), maxSimpleManifest)
	l.slots.Release(1)
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnauthorized) || registry.IsContentError(err) {
		return key, false, nil
	}
	if err != nil {
		return key, false, err
	}
	m, err := index.ParseManifest(body)
	if err != nil {
		return key, false, nil //nolint:nilerr // what cannot be read signs nothing
	}
	for _, layer := range m.Layers[:min(len(m.Layers), maxSimpleSignatures)] {
		key, found, err = l.simpleLayer(ctx, layer, of)
		if found || err != nil {
			return key, found, err
		}
	}
	return key, false, nil
}

func (l *lookup) simpleLayer(ctx context.Context, layer ocispec.Descriptor, of digest.Digest) (key trust.Key, found bool, err error) {
	signature := layer.Annotations[trust.AnnotationSignature]
	if layer.MediaType != trust.SimpleType || signature == "" || layer.Size > trust.MaxSimple {
		return key, false, nil
	}
	payload, err := l.Blob(ctx, layer)
	if err != nil {
		if registry.IsContentError(err) {
			return key, false, nil
		}
		return key, false, err
	}
	key, err = trust.VerifySimple(payload, signature, of, l.keys)
	return key, err == nil, nil
}
