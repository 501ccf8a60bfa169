package soak

import (
	"context"
	"time"
)

// What a daemon may hold. docs/systemd.md has the figures of memory: MemoryHigh of the units, what an
// idle daemon takes, and what a pull may take.
const (
	peakMiB = 384
	restMiB = 96
	// slack is how many more files and goroutines than in the first calm there may be at rest.
	slack = 16
	// logMiB is what the decision log takes at most: two files of 4 MiB.
	logMiB = 8
)

// rest lets everybody pause, and checks that the node is at rest as it was.
func (s *soak) rest(ctx context.Context) {
	s.calm.Lock()
	defer s.calm.Unlock()
	if err := s.node.recovered(ctx); err != nil {
		s.violated("at rest: %v", err)
		return
	}
	now := s.settled(ctx, s.first)
	if s.first == nil {
		s.first = &now
	}
	s.count("calm")
	s.mu.Lock()
	s.calms = append(s.calms, now)
	s.mu.Unlock()
	for name, b := range map[string][2]burden{"cri-proxy": {now.proxy, s.first.proxy}, "nri-plugin": {now.plugin, s.first.plugin}} {
		if more(b[0], b[1]) {
			s.violated("at rest %s has %s, in the first calm %s; want at most %d files and goroutines more, and %d MiB", name, b[0], b[1], slack, restMiB)
		}
	}
	if limit := float64(cacheMiB + logMiB + 1); now.stateMiB > limit {
		s.violated("at rest the state folder has %.1f MiB, want at most %.0f", now.stateMiB, limit)
	}
	if found := s.unfinished(s.node.StateDir); len(found) > 0 {
		s.violated("left in the state folder: %q", found)
	}
}

// settled is what the daemons hold once that is little enough, or after a while: connections end, workers
// finish, memory goes back.
func (s *soak) settled(ctx context.Context, first *sample) (now sample) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		s.node.registry.HangUp()
		wait(ctx, 250*time.Millisecond)
		now = s.node.sample(ctx)
		flat := first == nil || !more(now.proxy, first.proxy) && !more(now.plugin, first.plugin)
		if flat || time.Now().After(deadline) || ctx.Err() != nil {
			return now
		}
	}
}

// more says whether a daemon holds more than at rest.
func more(now, first burden) bool {
	return now.fds > first.fds+slack || now.goroutines > first.goroutines+slack || now.rssMiB > restMiB
}
