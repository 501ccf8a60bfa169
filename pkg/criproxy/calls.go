package criproxy

import (
	"context"
	"errors"
	"sync"
)

// callKind says how Shutdown treats a call.
type callKind int

const (
	intercepted callKind = iota // waited for: a pull that is cut off has to start again
	unary                       // given a short grace
	streaming                   // ended at once: event streams never end by themselves
	callKinds
)

// errStopped is why the contexts of calls that are cut off were cancelled.
var errStopped = errors.New("the proxy is shutting down")

// calls counts the calls that run.
type calls struct {
	mu      sync.Mutex
	closed  bool
	running [callKinds]int
	changed chan struct{} // closed and replaced on every leave once closed is set

	ctx  context.Context
	stop context.CancelFunc
}

func newCalls() *calls {
	c := &calls{changed: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// enter counts a call that begins, unless none may begin any more.
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
	if c.closed {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// bind returns a context that ends with ctx, or with cause errStopped on stop.
func (c *calls) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(c.ctx, func() { cancel(errStopped) })
	return ctx, func() {
		unbind()
		cancel(nil)
	}
}

// close lets no more calls begin and returns how many intercepted ones run.
func (c *calls) close() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.running[intercepted]
}

// wait returns nil when no call of this kind runs; close comes first.
func (c *calls) wait(ctx context.Context, kind callKind) error {
	for {
		c.mu.Lock()
		running, changed := c.running[kind], c.changed
		c.mu.Unlock()
		if running == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
