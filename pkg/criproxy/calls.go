package criproxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callKind says how Shutdown treats a call.
type callKind int

const (
	intercepted callKind = iota // waited for before clients are sent away: a pull that is cut off has to start again
	unary                       // waited for: most are short
	streaming                   // ended: event streams never end by themselves
	callKinds
)

// errStopped is why the contexts of calls that are cut off were cancelled.
var errStopped = errors.New("the proxy is shutting down")

// calls counts the calls that run.
type calls struct {
	mu      sync.Mutex
	closed  bool
	running [callKinds]int
	waiter  chan struct{} // closed and dropped when no intercepted call runs
	ended   callCounts

	cut  context.Context // ends when running calls are cut off
	stop context.CancelCauseFunc
}

func newCalls() *calls {
	c := &calls{}
	c.cut, c.stop = context.WithCancelCause(context.Background())
	return c
}

// enter counts a call that begins, unless the server has stopped.
func (c *calls) enter(kind callKind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running[kind]++
	return true
}

// leave counts a call that ends.
func (c *calls) leave(kind callKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[kind]--
	if c.waiter != nil && c.running[intercepted] == 0 {
		close(c.waiter)
		c.waiter = nil
	}
}

// quiet returns a channel that is closed at the next moment when no intercepted call
// runs, however short that is.
func (c *calls) quiet() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiter == nil {
		c.waiter = make(chan struct{})
	}
	waiter := c.waiter
	if c.running[intercepted] == 0 {
		close(waiter)
		c.waiter = nil
	}
	return waiter
}

// count returns how many calls of these kinds run.
func (c *calls) count(kinds ...callKind) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range kinds {
		n += c.running[kind]
	}
	return n
}

// close lets no more calls begin and ends the intercepted ones.
func (c *calls) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop(errStopped)
}

// callCounts counts the calls that ended, by kind and code. Every call passes here, so it
// does nothing but add.
type callCounts [callKinds][codes.Unauthenticated + 2]atomic.Uint64

// otherCode is for codes that gRPC does not have.
const otherCode = codes.Unauthenticated + 1

func (c *callCounts) add(kind callKind, err error) {
	code := codes.OK
	if err != nil {
		s, ok := status.FromError(err)
		if !ok {
			s = status.FromContextError(err) // as gRPC itself does
		}
		code = min(s.Code(), otherCode)
	}
	c[kind][code].Add(1)
}

func (k callKind) String() string {
	return [callKinds]string{"intercepted", "unary", "streaming"}[k]
}

// Served calls each with how many calls of a kind ended with a gRPC code. Codes without
// calls are left out, except OK.
func (s *Server) Served(each func(kind, code string, count uint64)) {
	for kind := range callKinds {
		for code := range codes.Code(len(s.calls.ended[kind])) {
			count := s.calls.ended[kind][code].Load()
			name := code.String()
			if code == otherCode {
				name = "other"
			}
			if count > 0 || code == codes.OK {
				each(kind.String(), name, count)
			}
		}
	}
}
