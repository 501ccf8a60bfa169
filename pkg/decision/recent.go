package decision

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// maxRecent is how many decisions are remembered.
	maxRecent = 1024
	// maxRecentRead bounds what was read for all of them together, and so the
	// memory that they take.
	maxRecentRead = 8 << 20
)

// recent remembers decisions for as long as nothing that they rest on can have
// changed: the reference's target, the lists of referrers, the facts, the rules.
// A pull of an image that is known then costs one request, which
// resolves the reference, however many candidates there are.
type recent struct {
	lru  *lru.Cache[string, cachedDecision]
	mu   sync.Mutex // for writing to lru
	read int64
}

func newRecent() *recent {
	m := &recent{}
	m.lru, _ = lru.NewWithEvict(maxRecent, func(_ string, gone cachedDecision) { m.read -= gone.read }) // fails for sizes below 1 only
	return m
}

// cachedDecision is a decision and what it rests on.
type cachedDecision struct {
	decision *Decision
	snapshot Snapshot
	from     time.Time
	until    time.Time
	read     int64 // bytes
}

// get returns the decision about a reference that is still valid at a time, or nil.
func (m *recent) get(key string, s Snapshot, now time.Time) *Decision {
	kept, ok := m.lru.Get(key)
	if !ok || kept.snapshot != s || now.Before(kept.from) || !now.Before(kept.until) {
		return nil
	}
	return kept.decision
}

func (m *recent) put(key string, d *Decision, s Snapshot, from, until time.Time, read int64) {
	if !from.Before(until) || read > maxRecentRead {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lru.Remove(key) // replacing does not evict
	m.lru.Add(key, cachedDecision{decision: d, snapshot: s, from: from, until: until, read: read})
	for m.read += read; m.read > maxRecentRead; {
		m.lru.RemoveOldest()
	}
}

// isComplete reports whether a decision may be given out again: admission will look for
// the bodies of its artifacts on disk, where they may have been removed, and what could
// not be read may be whole by now.
func (r *Resolver) isComplete(d *Decision) bool {
	for _, c := range d.Candidates {
		for _, a := range c.Artifacts {
			if a.Problem != "" || !r.cache.Has(a.Layer) {
				return false
			}
		}
	}
	return true
}

// validUntil is the time up to which all lists that were read are current.
type validUntil struct {
	mu sync.Mutex
	at time.Time
}

// lower brings the time nearer.
func (v *validUntil) lower(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at.Before(v.at) {
		v.at = at
	}
}

func (v *validUntil) time() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at
}
