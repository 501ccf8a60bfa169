package decision

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/registry"
)

// lookup reads one repository through the cache. What has a digest never
// changes: it is fetched once. Lists of referrers change: they are good for a
// while, and longer when the registry does not answer.
type lookup struct {
	*Road
	repo *registry.Repository
	name string // of the repository, with its registry
	read atomic.Int64

	first []byte // the index, where resolving the reference brought it
}

// resolve asks the registry what the reference is, every time, also for a
// digest: so it agrees that these credentials may know of this image before
// anything cached is used. The first time it asks for the manifest at once; later
// ones cost a HEAD, which registries do not count as a pull.
func (l *lookup) resolve(ctx context.Context, named reference.Named) (ocispec.Descriptor, error) {
	ref := registry.TagOrDigest(named)
	if l.seen.has(named.String()) {
		return l.repo.Resolve(ctx, ref)
	}
	top, body, err := l.repo.Fetch(ctx, ref)
	if errors.Is(err, registry.ErrTooLarge) {
		return l.repo.Resolve(ctx, ref)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	l.seen.add(named.String())
	if isIndex(top.MediaType) {
		l.first = body
		l.note(l.Cache.PutBlob(top.Digest, body))
	}
	return top, nil
}

func (l *lookup) manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return l.content(ctx, desc, l.repo.Manifest)
}

func (l *lookup) blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return l.content(ctx, desc, l.repo.Blob)
}

func (l *lookup) content(
	ctx context.Context, desc ocispec.Descriptor,
	fetch func(context.Context, ocispec.Descriptor) ([]byte, error),
) ([]byte, error) {
	if err := fetchable(desc); err != nil {
		return nil, err
	}
	if l.read.Add(desc.Size) > maxFetched {
		return nil, fmt.Errorf("%w: with it, what is said of the image exceeds %d bytes", registry.ErrTooLarge, maxFetched)
	}
	if content, err := l.Cache.Blob(desc.Digest); err == nil {
		return content, nil
	}
	content, err := fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	l.note(l.Cache.PutBlob(desc.Digest, content))
	return content, nil
}

func (l *lookup) referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	key := l.name + "@" + subject.Digest.String()
	var known []ocispec.Descriptor
	at, cacheErr := l.Cache.Referrers(key, &known)
	if age := time.Since(at); cacheErr == nil && age >= 0 && age < l.ReferrersTTL {
		return known, nil
	}
	fresh, err := l.repo.Referrers(ctx, subject)
	if err != nil && cacheErr == nil {
		l.Log.Warn("the registry does not list referrers, the list of an earlier pull is used",
			"subject", key, "fetched", at, "error", err)
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	l.note(l.Cache.PutReferrers(key, fresh))
	return fresh, nil
}

// note logs an error of the cache: a full disk must not stop a pull.
func (l *lookup) note(err error) {
	if err != nil && !errors.Is(err, cache.ErrMiss) {
		l.Log.Warn("the cache does not take what was fetched", "error", err)
	}
}
