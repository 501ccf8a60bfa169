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

	"github.com/imagefit/imagefit/pkg/facts"
)

// Source keeps the facts of one node fresh. Its methods may be called from any
// number of goroutines.
type Source struct {
	root    Root
	log     *slog.Logger
	refresh sync.Mutex // one collection at a time
	current atomic.Pointer[facts.Facts]
	at      atomic.Int64 // of the last refresh, in nanoseconds since 1970
	changes atomic.Uint64

	settle, gap time.Duration // see the constants settle and minGap
}

// NewSource collects the facts of root once and returns a source of them. The log
// may be nil.
func NewSource(ctx context.Context, root Root, log *slog.Logger) *Source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Source{root: root, log: log, settle: settle, gap: minGap}
	facts := Collect(ctx, root)
	s.current.Store(facts)
	s.at.Store(time.Now().UnixNano())
	log.Info("node facts collected",
		"arch", facts.Arch(), "fingerprint", facts.Fingerprint(), "unknown", names(facts.Unknown()))
	s.warn(nil, facts.Problems())
	return s
}

// warn logs the sources of facts that were skipped, each once for as long as it has
// the same problem.
func (s *Source) warn(before, problems []string) {
	for _, problem := range problems {
		if !slices.Contains(before, problem) {
			s.log.Warn("skipping facts source", "problem", problem, "count", len(problems))
		}
	}
}

// Current returns the facts collected last. It takes no lock.
func (s *Source) Current() *facts.Facts { return s.current.Load() }

// Refreshed returns when the facts were last collected.
func (s *Source) Refreshed() time.Time { return time.Unix(0, s.at.Load()) }

// Changes returns how many refreshes changed the facts.
func (s *Source) Changes() uint64 { return s.changes.Load() }

// Run collects the facts again at every interval, and soon after a module, a device
// or a file with facts was added or removed. It returns nil when ctx ends. With an
// interval of zero or less only events lead to a refresh.
func (s *Source) Run(ctx context.Context, interval time.Duration) error {
	hints := make(chan string, 1)
	changed := func(hint string) {
		select {
		case hints <- hint:
		default: // one is pending already
		}
	}
	var watchers sync.WaitGroup
	defer watchers.Wait()
	if _, isDir := s.root.files.(dirFiles); isDir || s.root.IsReal() {
		watchers.Go(func() { watchFiles(ctx, s.root.Dir(), s.log, changed) })
	}
	if s.root.isLive() {
		watchers.Go(func() { watchDevices(ctx, s.log, changed) })
	}
	s.follow(ctx, interval, hints)
	return nil
}

const (
	// settle is how long to wait for more hints after one: a single device causes
	// several.
	settle = 200 * time.Millisecond
	// minGap is the least time between two refreshes caused by hints.
	minGap = 2 * time.Second
)

// follow refreshes at every interval and after hints, until ctx ends.
func (s *Source) follow(ctx context.Context, interval time.Duration, hints <-chan string) {
	var tick <-chan time.Time
	if interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	var due <-chan time.Time // not nil while a refresh is due
	next := time.Now()       // no hint leads to a refresh before this
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		case hint := <-hints:
			if due == nil {
				s.log.Debug("node facts may have changed", "hint", hint)
				due = time.After(max(s.settle, time.Until(next)))
			}
			continue
		case <-due:
			due = nil
			next = time.Now().Add(s.gap)
		}
		s.Refresh(ctx)
	}
}

// Refresh collects the facts now and returns them. If ctx ends before that is done,
// the facts stay as they were.
func (s *Source) Refresh(ctx context.Context) *facts.Facts {
	s.refresh.Lock()
	defer s.refresh.Unlock()
	before, facts := s.Current(), Collect(ctx, s.root)
	if ctx.Err() != nil {
		return before
	}
	changed := facts.Fingerprint() != before.Fingerprint()
	s.current.Store(facts)
	s.at.Store(time.Now().UnixNano())
	s.warn(before.Problems(), facts.Problems())
	if changed {
		s.changes.Add(1)
		s.log.Info("node facts changed",
			"changed", strings.Join(facts.ChangedSets(before), " "),
			"fingerprint", facts.Fingerprint(), "unknown", names(facts.Unknown()))
	}
	return facts
}

func names(m map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}
