package registry

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxSilent bounds the hosts that a breaker remembers.
	maxSilent = 256
	// maxProbes bounds the probes that run at the same time.
	maxProbes = 4
	// minProbe is the least time that a probe is given.
	minProbe = time.Second
)

// probeWaits returns the pauses before the probes of a host, a quarter of an hour in all:
// the credentials of a pull are kept no longer. Then the next pull that would ask
// the host has it probed again.
func probeWaits() []time.Duration {
	return []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute,
	}
}

// SilentHost is a host that did not answer a request for referrers in time. Pulls do not wait for it again until
// a probe was answered.
type SilentHost struct {
	Host     string
	Registry string // of the references
	Since    time.Time
}

// BreakerStats are what a Registry counted of hosts that do not answer.
type BreakerStats struct {
	Silent []SilentHost // now
	Trips  uint64       // how often a host did not answer in time
	Skips  uint64       // requests that were not made because of that
}

// silence identifies what does not answer requests for referrers: a host for one registry
// may while the same host for another does not.
type silence struct{ place, host, registry string }

// probe repeats the request that was not answered, and tells whether it now is.
type probe func(ctx context.Context) bool

// breaker keeps pulls from waiting, one after the other, for a host that does not answer.
// The first one waits. Those that follow do not, while the request is repeated in the
// background.
type breaker struct {
	log   *slog.Logger
	waits []time.Duration
	slots chan struct{} // of probes that may run
	trips atomic.Uint64
	skips atomic.Uint64

	ctx     context.Context // of the probes
	cancel  context.CancelFunc
	probing sync.WaitGroup

	mu     sync.Mutex
	silent map[silence]*silentHost
	forgot time.Time // when the last reset was
}

type silentHost struct {
	since   time.Time
	ctx     context.Context // ends when the host is no longer remembered
	cancel  context.CancelFunc
	probed  bool          // in the background, now
	allowed time.Duration // for a probe
}

func newBreaker(log *slog.Logger) *breaker {
	ctx, cancel := context.WithCancel(context.Background())
	return &breaker{
		log: log, waits: probeWaits(), slots: make(chan struct{}, maxProbes),
		ctx: ctx, cancel: cancel, silent: map[silence]*silentHost{},
	}
}

// isOpen tells whether a host is not to be waited for. If it is no longer probed, the
// probes begin again, with one at once.
func (b *breaker) isOpen(key silence, again probe) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.silent[key]; h != nil {
		b.watch(key, h, again, slices.Concat([]time.Duration{0}, b.waits))
		b.skips.Add(1)
		return true
	}
	return false
}

// trip remembers a host that did not answer for some time, unless it was asked before the
// breaker was reset: that says nothing about the host since then.
func (b *breaker) trip(key silence, waited time.Duration, again probe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silent[key] != nil { // another request of the same pull
		return
	}
	if time.Since(b.forgot) < waited {
		return
	}
	if len(b.silent) >= maxSilent {
		b.drop(b.oldest())
	}
	h := &silentHost{since: time.Now(), allowed: max(minProbe, waited/2)}
	h.ctx, h.cancel = context.WithCancel(b.ctx)
	b.silent[key] = h
	b.trips.Add(1)
	b.log.Warn("registry host does not list referrers in time, pulls no longer wait for it",
		"host", key.host, "registry", key.registry, "waited", waited.Round(time.Millisecond))
	b.watch(key, h, again, b.waits)
}

// watch probes the host in the background, unless that is being done.
func (b *breaker) watch(key silence, h *silentHost, again probe, waits []time.Duration) {
	if h.probed || b.ctx.Err() != nil {
		return
	}
	h.probed = true
	b.probing.Go(func() {
		answers := b.probe(h, again, waits)
		b.mu.Lock()
		defer b.mu.Unlock()
		h.probed = false
		if answers && b.silent[key] == h {
			b.drop(key)
			b.log.Info("registry host lists referrers again", "host", key.host, "registry", key.registry,
				"after", time.Since(h.since).Round(time.Second))
		}
	})
}

// probe tells whether one of the probes was answered.
func (b *breaker) probe(h *silentHost, again probe, waits []time.Duration) bool {
	for _, wait := range waits {
		timer := time.NewTimer(wait)
		select {
		case <-h.ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		select {
		case <-h.ctx.Done():
			return false
		case b.slots <- struct{}{}:
		}
		ctx, cancel := context.WithTimeout(h.ctx, h.allowed)
		answers := again(ctx)
		cancel()
		<-b.slots
		if answers {
			return true
		}
	}
	return false
}

func (b *breaker) drop(key silence) {
	b.silent[key].cancel()
	delete(b.silent, key)
}

func (b *breaker) oldest() (key silence) {
	var since time.Time
	for k, h := range b.silent {
		if since.IsZero() || h.since.Before(since) {
			key, since = k, h.since
		}
	}
	return key
}

// reset forgets all hosts that did not answer, those included that are waited for now.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgot = time.Now()
	for key := range b.silent {
		b.drop(key)
	}
}

// close ends the probes and waits for those that run.
func (b *breaker) close() {
	b.cancel()
	b.probing.Wait()
}

func (b *breaker) stats() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BreakerStats{Silent: []SilentHost{}, Trips: b.trips.Load(), Skips: b.skips.Load()}
	for key, h := range b.silent {
		s.Silent = append(s.Silent, SilentHost{
			Host: key.host, Registry: key.registry, Since: h.since.UTC(),
		})
	}
	slices.SortFunc(s.Silent, func(x, y SilentHost) int {
		return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Host, y.Host),
			cmp.Compare(x.Registry, y.Registry))
	})
	return s
}
