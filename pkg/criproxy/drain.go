package criproxy

import (
	"context"
	"fmt"
	"time"
)

const (
	// goAwayTimeout is how long clients may take to leave after a GOAWAY, while new
	// connections wait. The kubelet gives a connection five seconds.
	goAwayTimeout = time.Second
	// flushTimeout is how long Shutdown waits for the last answers to be written.
	flushTimeout = 500 * time.Millisecond
)

// Shutdown serves all calls as before until no intercepted one runs, then accepts no more
// connections, asks the clients to open a new one and returns when they have left. On a
// socket that another process has open as well, as systemd does, new connections wait for
// the next process, and no call fails. Streams that may never end are ended, not waited for.
//
// A call may begin just as the clients are asked to leave. If it is a long one, the others
// must not wait for it: a second gRPC server takes the connections, and when the call is
// over all this happens again. When ctx ends, running calls are cut off and Shutdown
// returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) (err error) {
	s.ending.Do(func() {
		s.log.Info("shutting down", "intercepted_calls", s.calls.count(intercepted))
		if err = s.drain(ctx); err != nil {
			err = fmt.Errorf("wait for running calls: %w", err)
		}
		s.stop()
	})
	return err
}

// drain returns nil when no call runs that is worth waiting for.
func (s *Server) drain(ctx context.Context) error {
	for {
		select {
		case <-s.calls.quiet():
		case <-ctx.Done():
			return ctx.Err()
		}
		leaving := s.sendAway()
		timer := time.NewTimer(goAwayTimeout)
		select {
		case <-leaving.gone:
			timer.Stop()
			return nil
		case <-timer.C:
		case <-ctx.Done():
		}
		running := s.calls.count(intercepted, unary)
		if running == 0 {
			return nil // the clients that are left do not call
		}
		s.log.Info("calls began during the handover, serving until they end", "calls", running)
		s.takeOver()
		select {
		case <-leaving.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendAway accepts no more connections and asks the clients of the last generation to leave.
func (s *Server) sendAway() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.generations[len(s.generations)-1]
	if s.handover != nil {
		s.handover.pause()
	}
	g.endStreams(errStopped)
	s.tasks.Go(func() { // until the clients have left, or stop
		g.grpc.GracefulStop()
		close(g.gone)
	})
	return g
}

// takeOver lets a new generation accept connections.
func (s *Server) takeOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handover == nil {
		return
	}
	g, listener := s.newGeneration(), s.handover.next()
	s.generations = append(s.generations, g)
	s.tasks.Go(func() { // until the generation is sent away, or stop
		if err := g.grpc.Serve(listener); err != nil {
			s.log.Error("cannot accept connections", "socket", listener.Addr().String(), "error", err)
		}
	})
}

// stop ends what still runs.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	// A call that heeds the end of its context has a status that reaches the client.
	s.calls.close()
	flush, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	for _, g := range s.generations {
		g.endStreams(errStopped)
		select {
		case <-g.gone:
		case <-flush.Done():
		}
	}
	for _, g := range s.generations {
		s.tasks.Go(g.grpc.Stop)
	}
	stopped := make(chan struct{})
	go func() { // until the last task has ended, which is at once except for the case below
		s.tasks.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(flushTimeout): // a handler that ignores its context
	}
	if s.handover != nil {
		_ = s.handover.listener.Close()
	}
}
