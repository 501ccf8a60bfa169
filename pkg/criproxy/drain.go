package criproxy

import (
	"context"
	"fmt"
	"time"
)

const (
	// farewell is how long clients that are sent away may take to leave, new connections
	// waiting meanwhile. The kubelet gives a connection five seconds.
	farewell = time.Second
	// flushGrace is how long Shutdown waits for the last answers to be written.
	flushGrace = 500 * time.Millisecond
)

// Shutdown serves all calls as before until no intercepted one runs, then takes no more
// connections, asks the clients to open a new one and returns when they have left. With a socket that
// somebody else holds as well, as systemd does, new connections wait there for the next process,
// and no call fails. Streams that may never end are ended, not waited for.
//
// A call may begin just as the clients are asked to leave. If it is a long one, the
// others must not wait for it: the gate opens again, for a second gRPC server, and when
// the call is over all this happens again. When ctx ends, what runs is cut off and
// Shutdown returns ctx's error.
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
		timer := time.NewTimer(farewell)
		select {
		case <-leaving.gone:
			timer.Stop()
			return nil
		case <-timer.C:
		case <-ctx.Done():
		}
		running := s.calls.count(intercepted, unary)
		if running == 0 {
			return nil // Clients that do not leave, but ask for nothing.
		}
		s.log.Info("calls have begun at the last moment, serving on until they end", "calls", running)
		s.takeOver()
		select {
		case <-leaving.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendAway shuts the gate and asks the clients of the last generation to leave.
func (s *Server) sendAway() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.generations[len(s.generations)-1]
	if s.gate != nil {
		s.gate.shut()
	}
	g.endStreams(errStopped)
	go func() {
		g.grpc.GracefulStop()
		close(g.gone)
	}()
	return g
}

// takeOver opens the gate for a new generation.
func (s *Server) takeOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil {
		return
	}
	g, turn := s.newGeneration(), s.gate.open()
	s.generations = append(s.generations, g)
	go func() {
		if err := g.grpc.Serve(turn); err != nil {
			s.log.Error("no more connections are taken", "socket", s.gate.listener.Addr(), "error", err)
		}
	}()
}

// stop ends what still runs.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	// Ended by their contexts, calls have a status that reaches the client, if they heed them.
	s.calls.close()
	flush, cancel := context.WithTimeout(context.Background(), flushGrace)
	defer cancel()
	for _, g := range s.generations {
		g.endStreams(errStopped)
		select {
		case <-g.gone:
		case <-flush.Done():
		}
	}
	for _, g := range s.generations {
		stopped := make(chan struct{})
		go func() {
			g.grpc.Stop()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-time.After(flushGrace): // A handler that does not heed its context.
		}
	}
	if s.gate != nil {
		_ = s.gate.listener.Close()
	}
}
