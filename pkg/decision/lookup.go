package decision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	// maxFetched bounds what one decision reads of artifacts altogether.
	maxFetched = 16 << 20
	// maxFirst bounds the index or manifest that is fetched while it is resolved. Of a
	// larger one the size must be known first.
	maxFirst = 256 << 10
	// maxContents bounds what is kept of the image for the runtime, to save it requests.
	maxContents = 1 << 20
)

// lookup reads one repository through the cache, as referrers.Repository. What has a
// digest never changes: it is fetched once. Lists of referrers change: they are good
// for a while, and longer when the registry does not answer.
type lookup struct {
	r    *Resolver
	ev   *evaluation
	repo *registry.Repository
	name string // of the repository, with its registry

	named reference.Named // what was asked for
	auth  *registry.Auth  // of the pull

	// credentials stand for those of the pull, without telling them.
	credentials string

	keys *trust.Attempts // whose signatures count, nil where none are needed

	slots     *semaphore.Weighted // of requests that may run
	writes    errgroup.Group      // to the cache, while other requests run
	read      atomic.Int64
	held      atomic.Int64 // bytes of bodies that stay in memory
	inUse     *budget
	large     sync.Once          // the share of large indexes was asked for
	giveBack  func()             // the share
	fetches   singleflight.Group // of content that several candidates share
	unwritten sync.Map           // content that is not in the cache yet, by the same key

	validUntil validUntil  // of all lists that were read
	stale      atomic.Bool // lists were used that are out of date
	refreshes  bool        // lists that are out of date are read again
	noAPI      atomic.Bool // a registry has no referrers API

	first   []byte        // the index or manifest, where resolving the reference brought it
	firstOf digest.Digest // its digest

	mu       sync.Mutex
	contents []Content // what was read with imageContent, within maxContents
	kept     int       // bytes of contents
}

func (r *Resolver) newLookup(ev *evaluation, repo *registry.Repository, name string, auth *registry.Auth) *lookup {
	l := &lookup{
		r: r, ev: ev, repo: repo, name: name, credentials: digestOf(r.secret, auth),
		slots: semaphore.NewWeighted(maxLookups), inUse: newBudget(maxInUseOfOne), giveBack: func() {},
	}
	l.setKeys()
	l.writes.SetLimit(maxWrites)
	l.validUntil.at = time.Now().Add(ev.Rules.ReferrersTTL)
	return l
}

// again begins anew with lists that are current. What the first time read is in the cache
// and does not count.
func (l *lookup) again(ev *evaluation) {
	_ = l.writes.Wait()
	l.ev, l.repo, l.refreshes = ev, l.repo.Again(), true
	l.read.Store(0)
	l.held.Store(0)
	l.setKeys()
}

func (l *lookup) setKeys() {
	if rule := l.ev.Rules.Trust.For(l.name); rule.Signed {
		l.keys = trust.NewAttempts(rule.Keys).Knowing(l.r.verified)
	}
}

// end ends what the look-up began.
func (l *lookup) end() {
	_ = l.writes.Wait()
	l.giveBack()
}

// resolve asks the registry what the reference is, every time, also for a
// digest: so it agrees that these credentials may know of this image before
// anything cached is used. The first time it asks for the manifest at once; later
// ones cost a HEAD, which registries do not count as a pull.
func (l *lookup) resolve(ctx context.Context, named reference.Named) (ocispec.Descriptor, error) {
	ref := registry.TagOrDigest(named)
	if l.r.resolved.Contains(named.String()) {
		return l.repo.Resolve(ctx, ref)
	}
	top, body, err := l.repo.FetchUpTo(ctx, ref, maxFirst)
	if errors.Is(err, registry.ErrTooLarge) {
		return l.repo.Resolve(ctx, ref)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	l.r.resolved.Add(named.String(), struct{}{})
	if index.IsIndex(top.MediaType) || index.IsManifest(top.MediaType) {
		l.first, l.firstOf = body, top.Digest
		l.keep(func() error { return l.r.cache.PutBlobFrom(l.name, top.Digest, body) })
	}
	return top, nil
}

// Manifest implements referrers.Repository.
func (l *lookup) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if l.first != nil && desc.Digest == l.firstOf {
		return l.first, nil
	}
	return l.content(ctx, desc, l.repo.Manifest)
}

// Blob implements referrers.Repository.
func (l *lookup) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return l.content(ctx, desc, l.repo.Blob)
}

// imageContent is Manifest for the parts of the image itself.
func (l *lookup) imageContent(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	body, err := l.Manifest(ctx, desc)
	l.mu.Lock()
	defer l.mu.Unlock()
	known := func(c Content) bool { return c.Descriptor.Digest == desc.Digest }
	if err == nil && l.kept+len(body) <= maxContents && !slices.ContainsFunc(l.contents, known) {
		l.contents, l.kept = append(l.contents, Content{desc, body}), l.kept+len(body)
	}
	return body, err
}

func (l *lookup) content(
	ctx context.Context, desc ocispec.Descriptor, fetch func(context.Context, ocispec.Descriptor) ([]byte, error),
) ([]byte, error) {
	if err := registry.CheckDescriptor(desc); err != nil {
		return nil, err
	}
	if l.read.Add(desc.Size) > maxFetched {
		return nil, fmt.Errorf("%w: the artifacts of the image have more than %d bytes in all", registry.ErrTooLarge, maxFetched)
	}
	// A cached blob is used only if it came from this very repository: an artifact
	// may name the digest of what others keep to themselves.
	content, err := l.r.cache.BlobFrom(l.name, desc.Digest)
	if err == nil && int64(len(content)) == desc.Size {
		return content, nil
	}
	key := fmt.Sprintf("%s %s %d", desc.MediaType, desc.Digest, desc.Size)
	shared, err, _ := l.fetches.Do(key, func() (any, error) {
		if content, ok := l.fetched(key, desc); ok { // since it was looked for
			return content, nil
		}
		if err := l.slots.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		content, err := fetch(ctx, desc)
		l.slots.Release(1)
		if err != nil {
			return nil, err
		}
		put := func() error { return l.r.cache.PutBlobFrom(l.name, desc.Digest, content) }
		if len(content) <= freeSize {
			l.unwritten.Store(key, content)
			l.keep(func() error {
				defer l.unwritten.Delete(key)
				return put()
			})
		} else { // while there is room reserved for it
			l.note(put())
		}
		return content, nil
	})
	if err != nil {
		return nil, err
	}
	return shared.([]byte), nil
}

// fetched returns content that another candidate had fetched, be it written or not.
func (l *lookup) fetched(key string, desc ocispec.Descriptor) ([]byte, bool) {
	if content, ok := l.unwritten.Load(key); ok {
		return content.([]byte), true
	}
	content, err := l.r.cache.BlobFrom(l.name, desc.Digest)
	return content, err == nil && int64(len(content)) == desc.Size
}

// List implements referrers.Repository.
func (l *lookup) List(ctx context.Context, subject ocispec.Descriptor) (registry.Listing, error) {
	key := l.name + "@" + subject.Digest.String()
	var known, own cachedList
	at, cacheErr := l.r.cache.Referrers(key, &known)
	fresh, serves := l.ev.Rules.serves(time.Since(at))
	if cacheErr == nil && fresh {
		l.validUntil.lower(at.Add(l.ev.Rules.ReferrersTTL))
		return known.Listing, nil
	}
	if cacheErr == nil && l.servesOnceMore(time.Since(at)) {
		return known.Listing, nil
	}
	// What a registry lists for some credentials says nothing to others, nor is a decision
	// by it remembered for them.
	ownKey := key + " " + l.credentials
	if at, err := l.r.cache.Referrers(ownKey, &own); err == nil {
		if fresh, _ := l.ev.Rules.serves(time.Since(at)); fresh {
			l.validUntil.lower(time.Time{})
			l.noAPI.Store(true)
			return own.Listing, nil
		}
	}
	if err := l.slots.Acquire(ctx, 1); err != nil {
		return registry.Listing{}, err
	}
	fallback := registry.Fallback(l.ev.answers.NoReferrersAPI)
	listing, err := l.repo.ListReferrers(ctx, subject, fallback)
	l.slots.Release(1)
	switch {
	case err == nil && listing.Personal && !listing.Unasked && fallback == registry.FallbackTag:
		l.validUntil.lower(time.Time{})
		l.keep(func() error { return l.r.cache.PutReferrers(ownKey, cachedList{listing}) })
	case err == nil && (listing.Personal || listing.Unasked):
		l.validUntil.lower(time.Time{})
	case err == nil && (!listing.NoAPI || fallback == registry.FallbackTag):
		l.keep(func() error { return l.r.cache.PutReferrers(key, cachedList{listing}) })
	case err == nil: // no request was made, so nothing was learned
	// A registry that does not let these credentials see a list, or has none, did
	// answer: no earlier list replaces that.
	case cacheErr == nil && serves && !errors.Is(err, registry.ErrUnauthorized) && !errors.Is(err, registry.ErrNoReferrersAPI):
		l.r.log.Warn("cannot list referrers, using the list of an earlier pull",
			"subject", key, "fetched", at, "error", err)
		l.validUntil.lower(time.Time{})
		return known.Listing, nil
	}
	if listing.NoAPI || errors.Is(err, registry.ErrNoReferrersAPI) {
		l.noAPI.Store(true)
	}
	return listing, err
}

// serves tells whether a list of this age is taken for current, and whether it
// serves where the registry does not answer. A list from the future, after the
// clock was set back, is asked for again; but it was true once, so it serves.
func (r *Rules) serves(age time.Duration) (fresh, stale bool) {
	if age < 0 {
		return false, true
	}
	return age < r.ReferrersTTL, age-r.ReferrersTTL < r.StaleFor
}

// keep writes to the cache beside the requests that follow; the decision is not
// given out before it is done. An error is logged, now and then: a full disk must
// neither stop a pull nor fill the log.
func (l *lookup) keep(put func() error) {
	l.writes.Go(func() error {
		l.note(put())
		return nil
	})
}

func (l *lookup) note(err error) {
	if err != nil && l.r.unkept.Allow() {
		l.r.log.Warn("cannot write to the cache", "error", err)
	}
}
