package admission

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// hookLimit is how long a hook may take: half of what runtimes wait for by default.
	hookLimit = time.Second
	// lossWindow and maxLosses say from when on the plugin is in a loop: it comes back
	// each time, and is dropped again.
	lossWindow = 10 * time.Minute
	maxLosses  = 3
)

// state is what is known of the connection to the runtime.
type state struct {
	mu           sync.Mutex
	registered   bool
	synchronized bool
	sessions     uint64
	losses       uint64
	lost         []time.Time // the last losses, at most maxLosses
	hooks        map[*time.Time]struct{}
	slow         time.Duration // that the last hook took, if too long
}

// hook notes that a hook begins, and, when what it returns is called, that it ends.
func (s *state) hook() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	if s.hooks == nil {
		s.hooks = map[*time.Time]struct{}{}
	}
	s.hooks[&began] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hooks, &began)
		s.slow = 0
		if took := time.Since(began); took > hookLimit {
			s.slow = took
		}
	}
}

func (s *state) register() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered = true
}

func (s *state) synchronize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synchronized = true
	s.sessions++
}

// end notes that a session ended. It is a loss where the runtime ended it.
func (s *state) end(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered, s.synchronized = false, false
	if lost {
		s.losses++
		s.lost = append(s.lost, time.Now())
		s.lost = s.lost[max(0, len(s.lost)-maxLosses):]
	}
}

// Connected reports whether the runtime asks the plugin before it creates a container.
func (p *Plugin) Connected() bool {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	return p.state.registered && p.state.synchronized
}

// Sessions returns how often the plugin was connected, and how often the runtime ended
// that.
func (p *Plugin) Sessions() (connected, lost uint64) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	return p.state.sessions, p.state.losses
}

// Ready returns why the plugin does not check containers, or not reliably, or nil.
func (p *Plugin) Ready() error {
	s := &p.state
	s.mu.Lock()
	defer s.mu.Unlock()
	for began := range s.hooks {
		if took := time.Since(*began); took > hookLimit {
			return fmt.Errorf("a hook has been running for %s: the runtime drops a plugin that does not answer", took.Round(time.Second/10))
		}
	}
	switch {
	case !s.registered:
		return errors.New("not registered with the runtime")
	case !s.synchronized:
		return errors.New("registered with the runtime, which has not synchronized it")
	case s.slow > 0:
		return fmt.Errorf("the last hook took %s: the runtime drops a plugin that does not answer", s.slow.Round(time.Second/10))
	case len(s.lost) == maxLosses && time.Since(s.lost[0]) < lossWindow:
		return fmt.Errorf("the runtime closed the connection %d times in %s, and containers were created unchecked meanwhile",
			maxLosses, time.Since(s.lost[0]).Round(time.Second))
	}
	return nil
}
