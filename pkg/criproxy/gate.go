package criproxy

import (
	"net"
	"sync"
	"time"
)

// greeting is how long a connection may take to say its first words once the gate is shut.
const greeting = 250 * time.Millisecond

// Listener is a listener that can be told to take no connection for a while, as those of package
// net can.
type Listener interface {
	net.Listener
	SetDeadline(time.Time) error
}

// gate lets the connections of one listener through to one gRPC server after the
// other. While it is shut they wait in the socket's queue. A gRPC server that stops drops the connections that it
// has just accepted, and waits two minutes for those that do not say a
// word, so the gate also keeps track of these.
type gate struct {
	listener Listener

	mu       sync.Mutex
	isShut   bool
	turn     *turn
	arriving map[*guest]bool // in gRPC's handshake
	unseen   sync.WaitGroup  // accepted, but not known to gRPC
}

func newGate(l Listener) *gate { return &gate{listener: l, arriving: map[*guest]bool{}} }

// open returns the listener for the next gRPC server.
func (g *gate) open() net.Listener {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.listener.SetDeadline(time.Time{})
	g.isShut = false
	g.turn = &turn{gate: g, idle: make(chan struct{}), closed: make(chan struct{})}
	return g.turn
}

// shut returns when no more connections come through and gRPC knows of all that did.
func (g *gate) shut() {
	g.mu.Lock()
	g.isShut = true
	current := g.turn
	_ = g.listener.SetDeadline(time.Unix(1, 0))
	for guest := range g.arriving {
		_ = guest.Conn.SetDeadline(time.Now().Add(greeting))
	}
	g.mu.Unlock()
	select {
	case <-current.idle:
	case <-current.closed:
	}
	g.unseen.Wait()
}

// turn is the gate as one gRPC server sees it.
type turn struct {
	gate         *gate
	idle, closed chan struct{}
	idled, close sync.Once
}

// Accept waits for a connection. Once the gate is shut it waits to be closed.
func (t *turn) Accept() (net.Conn, error) {
	conn, err := t.gate.listener.Accept()
	if err == nil {
		return t.gate.welcome(conn), nil
	}
	t.gate.mu.Lock()
	shut := t.gate.isShut
	t.gate.mu.Unlock()
	if !shut {
		return nil, err
	}
	t.idled.Do(func() { close(t.idle) })
	<-t.closed
	return nil, net.ErrClosed
}

// Close ends the turn. The listener stays open.
func (t *turn) Close() error {
	t.close.Do(func() { close(t.closed) })
	return nil
}

// Addr names the socket.
func (t *turn) Addr() net.Addr { return t.gate.listener.Addr() }

func (g *gate) welcome(conn net.Conn) net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &guest{Conn: conn, gate: g}
	g.arriving[c] = true
	g.unseen.Add(1)
	return c
}

// guest is a connection that came through the gate. gRPC sets a deadline as the first
// thing that it does with one, and takes it away after the handshake.
type guest struct {
	net.Conn
	gate *gate
	seen sync.Once
}

// SetDeadline also notes how far the handshake is.
func (c *guest) SetDeadline(t time.Time) error {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.seen.Do(c.gate.unseen.Done)
	if t.IsZero() {
		delete(c.gate.arriving, c)
	} else if c.gate.isShut && c.gate.arriving[c] {
		t = time.Now().Add(greeting)
	}
	return c.Conn.SetDeadline(t)
}

// Close ends the connection.
func (c *guest) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.arriving, c)
	c.seen.Do(c.gate.unseen.Done)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
