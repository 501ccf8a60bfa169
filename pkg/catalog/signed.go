package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// keyring is the keys of which it is found out whether they signed what a repository has.
type keyring []trust.Key

// lists are the referrers of a manifest, and where signatures matter those of the artifacts
// among them: a signature refers to the artifact, and leaves the list of the image as it is.
type lists struct {
	own    registry.Listing
	below  map[digest.Digest]registry.Listing
	simple ocispec.Descriptor // of the signatures under a tag that cosign up to 2 makes
	keys   keyring
}

// lists asks for the lists of a manifest; top tells whether it has a name.
func (k keyring) lists(ctx context.Context, repo referrers.Repository, subject ocispec.Descriptor, top bool) (l lists, err error) {
	l.keys = k
	if l.own, err = repo.List(ctx, subject); err != nil || len(k) == 0 {
		return l, err
	}
	l.below = map[digest.Digest]registry.Listing{}
	for _, d := range l.own.Referrers {
		isArtifact := d.ArtifactType == "" || dialect.IsArtifactType(d.ArtifactType)
		if !isArtifact || !index.IsManifest(d.MediaType) || len(l.below) >= referrers.MaxOpened {
			continue
		}
		if l.below[d.Digest], err = repo.List(ctx, d); err != nil {
			return l, err
		}
	}
	if tagged, ok := repo.(interface {
		Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error)
	}); ok && top {
		found, err := tagged.Resolve(ctx, trust.SimpleTag(subject.Digest))
		if err != nil && !isAbsent(err) {
			return l, err
		}
		l.simple = found
	}
	return l, nil
}

// isAbsent reports whether an error says that there is nothing that can be read.
func isAbsent(err error) bool {
	return errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnauthorized) || registry.IsContentError(err)
}

// key stands for the lists: with another one, artifacts or signatures are others.
func (l lists) key() string {
	if len(l.keys) == 0 {
		return listingKey(l.own)
	}
	parts := []string{listingKey(l.own), l.simple.Digest.String()}
	for d, listing := range l.below {
		parts = append(parts, d.String()+" "+listingKey(listing))
	}
	for _, key := range l.keys {
		parts = append(parts, key.ID)
	}
	slices.Sort(parts)
	return digest.FromString(strings.Join(parts, "\n")).Encoded()[:12]
}

// readLists is a repository whose lists of one manifest were read.
type readLists struct {
	*imageReader
	of    digest.Digest
	lists lists
}

// List implements referrers.Repository.
func (l *readLists) List(ctx context.Context, subject ocispec.Descriptor) (registry.Listing, error) {
	if subject.Digest == l.of {
		return l.lists.own, nil
	}
	if listing, ok := l.lists.below[subject.Digest]; ok {
		return listing, nil
	}
	return l.repo.List(ctx, subject)
}

// Manifest implements referrers.Repository.
func (l *readLists) Manifest(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	return l.get(ctx, d, l.repo.Manifest)
}

// Blob implements referrers.Repository.
func (l *readLists) Blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	return l.get(ctx, d, l.repo.Blob)
}

// Reserve and Keeps implement referrers.Limits: get bounds what an image may cost.
func (l *readLists) Reserve(context.Context, int64) (func(), error) { return func() {}, nil }

// Keeps implements referrers.Limits.
func (l *readLists) Keeps(int64) bool { return true }

// maxSimple bounds the signatures under a tag.
const maxSimple = 16

// signer finds out who signed what has a name.
func (l *readLists) signer(ctx context.Context, s *Subject, body []byte, top ocispec.Descriptor) error {
	try := trust.NewAttempts(l.keys)
	bundles, err := referrers.Bundles(ctx, l, l, top)
	if err == nil && len(bundles) > 0 && body == nil {
		body, err = l.Manifest(ctx, top)
	}
	if err != nil {
		return err
	}
	key, why := referrers.SignedBy(bundles, trust.Subject{Digest: top.Digest, Content: body}, try)
	if why != "" && l.lists.simple.Digest != "" {
		signed, found, err := l.simpleSigner(ctx, top.Digest, try)
		if err != nil {
			return err
		}
		if found {
			key, why = signed, ""
		}
	}
	if s.Unsigned = why; why == "" {
		s.Signer = &referrers.Signer{Name: key.Name, Key: key.ID}
	}
	return nil
}

// simpleSigner looks at the signatures under a tag. What cannot be read signs nothing.
func (l *readLists) simpleSigner(ctx context.Context, of digest.Digest, try *trust.Attempts) (key trust.Key, found bool, err error) {
	body, err := l.Manifest(ctx, l.lists.simple)
	if err != nil {
		return key, false, unlessAbsent(err)
	}
	m, err := index.ParseManifest(body)
	if err != nil {
		return key, false, nil //nolint:nilerr // it signs nothing
	}
	for _, layer := range m.Layers[:min(len(m.Layers), maxSimple)] {
		signature := layer.Annotations[trust.AnnotationSignature]
		if layer.MediaType != trust.SimpleType || signature == "" || layer.Size > trust.MaxSimple {
			continue
		}
		payload, err := l.Blob(ctx, layer)
		if err != nil {
			if err := unlessAbsent(err); err != nil {
				return key, false, err
			}
			continue
		}
		if key, err = trust.VerifySimple(payload, signature, of, try); err == nil {
			return key, true, nil
		}
	}
	return key, false, nil
}

func unlessAbsent(err error) error {
	if isAbsent(err) {
		return nil
	}
	return err
}

// signerColumns are who signed something as the database has it.
func signerColumns(by *referrers.Signer, unsigned string) (name, key, why string) {
	if by != nil {
		return by.Name, by.Key, ""
	}
	return "", "", unsigned
}

// signerOf is the opposite of signerColumns.
func signerOf(name, key string) *referrers.Signer {
	if key == "" {
		return nil
	}
	return &referrers.Signer{Name: cmp.Or(name, key), Key: key}
}
