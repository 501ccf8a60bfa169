package decision

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	// refreshedWithin is up to which age a list of referrers serves a pull while it is read
	// again beside it, as a multiple of the time for which it is current. An older one says
	// little about today.
	refreshedWithin = 10
	// maxSpread bounds the time over which nodes that pull at the same moment spread their
	// requests.
	maxSpread = time.Minute
	// maxRefreshes bounds the references that wait, maxRefreshesOfOne those of one registry,
	// and refreshesAtOnce those of different registries that are looked up at the same time.
	maxRefreshes, maxRefreshesOfOne, refreshesAtOnce = 256, 64, 4
)

// refresher reads lists of referrers again that are out of date, so that the pull that
// finds them so does not wait for it. The first such pull is decided by what is known.
type refresher struct {
	ctx   context.Context //nolint:containedctx // of all that it does
	group sync.WaitGroup
	slots *semaphore.Weighted
	delay func(ttl time.Duration) time.Duration

	mu         sync.Mutex
	waiting    map[string]bool // by reference and credentials
	registries map[string]*refreshes
}

// refreshes are those of one registry, which are done one after the other.
type refreshes struct {
	waiting int
	mu      sync.Mutex
}

// stale is what a pull found to be out of date.
type stale struct {
	named reference.Named
	repo  *registry.Repository
	auth  *registry.Auth
	top   ocispec.Descriptor
}

// RefreshInBackground makes pulls use lists of referrers that are out of date once more
// while they are read again. The function that it returns ends that.
func (r *Resolver) RefreshInBackground() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	r.refresher = &refresher{
		ctx: ctx, slots: semaphore.NewWeighted(refreshesAtOnce), delay: spread,
		waiting: map[string]bool{}, registries: map[string]*refreshes{},
	}
	return func() {
		r.refresher.mu.Lock()
		cancel()
		r.refresher.mu.Unlock()
		r.refresher.group.Wait()
	}
}

// servesOnceMore tells whether a list is used although it is out of date.
func (l *lookup) servesOnceMore(age time.Duration) bool {
	rules := l.ev.Rules
	if l.r.refresher == nil || l.refreshes || l.ev.explains || age < 0 || age/refreshedWithin >= rules.ReferrersTTL {
		return false
	}
	l.stale.Store(true)
	l.validUntil.lower(time.Time{})
	return true
}

// refresh looks up again, in a while, what a pull found to be out of date.
func (r *Resolver) refresh(s stale) {
	all := r.refresher
	key := digestOf(s.named.String(), s.auth)
	of := all.add(key, reference.Domain(s.named))
	if of == nil {
		return
	}
	all.begin(func() {
		defer all.remove(key, of)
		if !sleep(all.ctx, all.delay(r.rules().ReferrersTTL)) {
			return
		}
		of.mu.Lock()
		defer of.mu.Unlock()
		if all.slots.Acquire(all.ctx, 1) != nil {
			return
		}
		defer all.slots.Release(1)
		r.lookUpAgain(all.ctx, s)
	})
}

// begin begins a refresh, unless they have ended.
func (all *refresher) begin(refresh func()) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.ctx.Err() == nil {
		all.group.Go(refresh)
	}
}

func (all *refresher) add(key, domain string) *refreshes {
	all.mu.Lock()
	defer all.mu.Unlock()
	of := all.registries[domain]
	if of == nil {
		of = new(refreshes)
	}
	if all.waiting[key] || len(all.waiting) >= maxRefreshes || of.waiting >= maxRefreshesOfOne {
		return nil
	}
	all.waiting[key], all.registries[domain] = true, of
	of.waiting++
	return of
}

func (all *refresher) remove(key string, of *refreshes) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.waiting, key)
	of.waiting--
	for domain, found := range all.registries {
		if found.waiting == 0 {
			delete(all.registries, domain)
		}
	}
}

// lookUpAgain brings lists that are out of date, and what they lead to, into the cache.
// That the credentials may read the image was asked a moment ago.
func (r *Resolver) lookUpAgain(ctx context.Context, s stale) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("panic while refreshing lists of referrers", "reference", Line(s.named.String()), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	now := r.Snapshot()
	if limit := now.Rules.Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	l := r.newLookup(r.newEvaluation(now, s.named.Name()), s.repo.Again(), s.named.Name(), s.auth)
	l.named, l.auth, l.refreshes = s.named, s.auth, true
	defer l.end()
	if _, err := l.gather(ctx, s.top, ofNode(r.newNode(now.Facts))); err != nil && ctx.Err() == nil {
		r.log.Debug("cannot refresh lists of referrers", "reference", Line(s.named.String()), "error", err)
	}
}

// spread is how long a node waits before it refreshes lists that are current for a time.
func spread(ttl time.Duration) time.Duration {
	return rand.N(max(1, min(ttl, maxSpread))) //nolint:gosec // not a secret
}

// sleep reports whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
