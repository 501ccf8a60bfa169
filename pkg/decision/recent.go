package decision

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/imagefit/imagefit/pkg/facts"
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
// A pull of an image that is known then costs the registry's word on the
// reference and nothing else, however many candidates there are.
type recent struct {
	once sync.Once
	lru  *lru.Cache[string, made]

	mu   sync.Mutex // held while lru is written
	read int64
}

// made is a decision and what it rests on.
type made struct {
	decision *Decision
	rules    *Rules
	facts    *facts.Facts
	from     time.Time
	until    time.Time
	read     int64 // bytes
}

func (m *recent) cache() *lru.Cache[string, made] {
	m.once.Do(func() {
		m.lru, _ = lru.NewWithEvict(maxRecent, func(_ string, gone made) { m.read -= gone.read }) // fails for sizes below 1 only
	})
	return m.lru
}

// get returns the decision about a reference that still holds at a time, or nil.
func (m *recent) get(key string, h *hearing, now time.Time) *Decision {
	kept, ok := m.cache().Get(key)
	if !ok || kept.rules != h.rules || kept.facts != h.facts || now.Before(kept.from) || !now.Before(kept.until) {
		return nil
	}
	return kept.decision
}

func (m *recent) put(key string, d *Decision, h *hearing, from, until time.Time, read int64) {
	if !from.Before(until) || read > maxRecentRead {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	cache := m.cache()
	cache.Remove(key) // what is only replaced is not counted as gone
	cache.Add(key, made{decision: d, rules: h.rules, facts: h.facts, from: from, until: until, read: read})
	for m.read += read; m.read > maxRecentRead; {
		cache.RemoveOldest()
	}
}

// holds reports whether a decision may be given out again: admission will look for the
// bodies of its artifacts on disk, where somebody may have removed them, and what could
// not be read may be whole by now.
func (r *Resolver) holds(d *Decision) bool {
	for _, c := range d.Candidates {
		for _, a := range c.Artifacts {
			if a.Problem != "" || !r.cache.Has(a.Layer) {
				return false
			}
		}
	}
	return true
}

// horizon is the time up to which all lists that were read are current.
type horizon struct {
	mu sync.Mutex
	at time.Time
}

// lower brings the horizon nearer.
func (h *horizon) lower(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.Before(h.at) {
		h.at = at
	}
}

func (h *horizon) time() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}
