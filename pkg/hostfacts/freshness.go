package hostfacts

import (
	"sync/atomic"
	"time"
)

// freshness is when facts were collected and how often they changed.
type freshness struct {
	at      atomic.Int64 // in nanoseconds since 1970
	changes atomic.Uint64
}

func (f *freshness) refreshed(changed bool) {
	f.at.Store(time.Now().UnixNano())
	if changed {
		f.changes.Add(1)
	}
}

// Refreshed is when the facts were collected last.
func (s *Source) Refreshed() time.Time { return time.Unix(0, s.age.at.Load()) }

// Changes is how often the facts were others than before.
func (s *Source) Changes() uint64 { return s.age.changes.Load() }
