package decision

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// maxRecent is how many decisions are remembered.
	maxRecent = 1024
	// maxRecentSize bounds the memory that they take together, and one of them.
	maxRecentSize, maxRecentOne = 4 << 20, 512 << 10
)

// recent remembers decisions for as long as nothing that they rest on can have
// changed: the reference's target, the lists of referrers, the facts, the rules.
// A pull of an image that is known then costs one request, which
// resolves the reference, however many candidates there are.
type recent struct {
	lru  *lru.Cache[string, cachedDecision]
	mu   sync.Mutex // for writing to lru
	size int64
}

func newRecent() *recent {
	m := &recent{}
	m.lru, _ = lru.NewWithEvict(maxRecent, func(_ string, gone cachedDecision) { m.size -= gone.size }) // fails for sizes below 1 only
	return m
}

// cachedDecision is a decision and what it rests on.
type cachedDecision struct {
	decision *Decision
	snapshot Snapshot
	from     time.Time
	until    time.Time
	size     int64
}

// get returns the decision about a reference that is still valid at a time, or nil.
func (m *recent) get(key string, s Snapshot, now time.Time) *Decision {
	kept, ok := m.lru.Get(key)
	if !ok || kept.snapshot != s || now.Before(kept.from) || !now.Before(kept.until) {
		return nil
	}
	return kept.decision
}

func (m *recent) put(key string, d *Decision, s Snapshot, from, until time.Time) {
	size := d.size()
	if !from.Before(until) || size > maxRecentOne {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lru.Remove(key) // replacing does not evict
	m.lru.Add(key, cachedDecision{decision: d, snapshot: s, from: from, until: until, size: size})
	for m.size += size; m.size > maxRecentSize; {
		m.lru.RemoveOldest()
	}
}

// size is about how many bytes the decision takes: those of the texts that a registry
// had a hand in, and some for the rest.
func (d *Decision) size() int64 {
	const each = 512 // of a candidate, an artifact or another entry
	n := each + len(d.Reason)
	for _, o := range d.Others {
		n += each/2 + len(o.Platform) + len(o.Reason)
	}
	for _, c := range d.Candidates {
		n += 2*each + len(c.Reason)*2 + len(c.claims.Platform)
		for key, value := range c.descriptor.Annotations {
			n += len(key) + len(value) + each/8
		}
		for key, value := range c.claims.Environment {
			n += len(key) + len(value) + each/8
		}
		n += len(c.Artifacts) * each
	}
	return int64(n)
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
