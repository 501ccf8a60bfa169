package hostfacts

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Source keeps the facts of one node fresh. Its methods may be called from any
// number of goroutines.
type Source struct {
	root    Root
	log     *slog.Logger
	refresh sync.Mutex // one collection at a time
	current atomic.Pointer[Facts]
}

// NewSource collects the facts of root once and returns a source of them. A nil
// log keeps silent.
func NewSource(ctx context.Context, root Root, log *slog.Logger) *Source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Source{root: root, log: log}
	facts := Collect(ctx, root)
	s.current.Store(facts)
	log.Info("node facts collected",
		"arch", facts.Arch(), "fingerprint", facts.Fingerprint(), "unknown", names(facts.unknown))
	return s
}

// Current returns the facts collected last. It takes no lock.
func (s *Source) Current() *Facts { return s.current.Load() }

// Run collects the facts anew at every interval, and returns nil when ctx ends.
// With an interval of zero or less it only waits.
func (s *Source) Run(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.Refresh(ctx)
		}
	}
}

// Refresh collects the facts now and returns them. When ctx ends meanwhile, the
// facts stay as they were.
func (s *Source) Refresh(ctx context.Context) *Facts {
	s.refresh.Lock()
	defer s.refresh.Unlock()
	before, facts := s.Current(), Collect(ctx, s.root)
	if ctx.Err() != nil {
		return before
	}
	s.current.Store(facts)
	if facts.Fingerprint() != before.Fingerprint() {
		s.log.Info("node facts changed",
			"changed", strings.Join(facts.changedSets(before), " "),
			"fingerprint", facts.Fingerprint(), "unknown", names(facts.unknown))
	}
	return facts
}

func names(m map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}
