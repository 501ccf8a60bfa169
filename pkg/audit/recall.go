package audit

import (
	"context"
	"slices"
	"sync"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// Images evaluates images by what is kept of them.
type Images interface {
	Snapshot() decision.Snapshot
	// Recall evaluates what is kept under an image ID.
	Recall(s decision.Snapshot, imageID string) (decision.Recalled, error)
	// FollowRemembered calls changed with each image about which something else is
	// kept, and with "" where some may have been missed.
	FollowRemembered(ctx context.Context, changed func(id string)) error
}

// recalled are the verdicts on images. Each image is evaluated once, until what is known
// of it, the rules, or facts on which its verdict rests, change.
type recalled struct {
	images Images

	mu       sync.Mutex
	snapshot decision.Snapshot
	known    map[string]recollection
	changes  uint64 // of what is kept, counted
}

type recollection struct {
	decision.Recalled
	err error
}

// renew takes the current rules and facts, and forgets what they change.
func (r *recalled) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.images.Snapshot()
	before := r.snapshot
	if now == before {
		return
	}
	r.snapshot = now
	if before.Rules != now.Rules || before.Facts.OS() != now.Facts.OS() || before.Facts.Arch() != now.Facts.Arch() {
		r.known = map[string]recollection{}
		return
	}
	sets := now.Facts.DifferingSets(before.Facts)
	for id, one := range r.known {
		if one.err != nil || slices.ContainsFunc(one.Sets, func(set string) bool { return sets[set] }) {
			delete(r.known, id)
		}
	}
}

// isOutdated reports whether rules or facts changed since renew.
func (r *recalled) isOutdated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.images.Snapshot() != r.snapshot
}

// forget forgets the verdict on an image; "" is all of them.
func (r *recalled) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	if key == "" {
		r.known = map[string]recollection{}
	}
	delete(r.known, key)
}

// keep forgets all images but those.
func (r *recalled) keep(ids map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.known {
		if !ids[key] {
			delete(r.known, key)
		}
	}
}

// Snapshot implements decision.Verdicts.
func (r *recalled) Snapshot() decision.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshot
}

// Lookup implements decision.Verdicts.
func (r *recalled) Lookup(imageID string) (decision.Recalled, policy.Reason) {
	key := cache.ImageKey(imageID)
	r.mu.Lock()
	found, ok := r.known[key]
	snapshot, changes := r.snapshot, r.changes
	r.mu.Unlock()
	if !ok {
		found.Recalled, found.err = r.images.Recall(snapshot, key)
		r.mu.Lock()
		if changes == r.changes && snapshot == r.snapshot { // else it may be old
			r.known[key] = found
		}
		r.mu.Unlock()
	}
	if found.err != nil {
		return decision.Recalled{}, policy.NotKnown
	}
	return found.Recalled, ""
}
