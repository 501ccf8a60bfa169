package criproxy

import (
	"net"
	"sync"
	"time"
)

// handshakeTimeout is how long a connection may take for gRPC's handshake while no more
// connections are accepted.
const handshakeTimeout = 250 * time.Millisecond

// Listener is a listener that can stop accepting for a while, as those of package net.
type Listener interface {
	net.Listener
	SetDeadline(time.Time) error
}

// handoverListener hands the connections of one listener to one gRPC server after the
// other. While it is paused they wait in the socket's queue. A gRPC server that stops
// drops the connections that it has just accepted, and waits two minutes for those that
// send nothing, so handoverListener also keeps track of these.
type handoverListener struct {
	listener Listener
	clients  *clients

	mu          sync.Mutex
	paused      bool
	current     *generationListener
	handshaking map[*pendingConn]bool
	accepted    sync.WaitGroup // connections that gRPC has not touched yet
}

// next returns the listener for the next gRPC server.
func (h *handoverListener) next() net.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.listener.SetDeadline(time.Time{})
	h.paused = false
	h.current = &generationListener{handover: h, idle: make(chan struct{}), closed: make(chan struct{})}
	return h.current
}

// pause returns when no more connections are accepted and gRPC has all that were.
func (h *handoverListener) pause() {
	h.mu.Lock()
	h.paused = true
	current := h.current
	_ = h.listener.SetDeadline(time.Unix(1, 0))
	for conn := range h.handshaking {
		_ = conn.Conn.SetDeadline(time.Now().Add(handshakeTimeout))
	}
	h.mu.Unlock()
	select {
	case <-current.idle:
	case <-current.closed:
	}
	h.accepted.Wait()
}

// generationListener is the listener as one gRPC server sees it.
type generationListener struct {
	handover     *handoverListener
	idle, closed chan struct{}
	idled, close sync.Once
}

// Accept waits for a connection. While the handover is paused it waits to be closed.
func (l *generationListener) Accept() (net.Conn, error) {
	h := l.handover
	conn, err := h.listener.Accept()
	var from *client
	if err == nil {
		from = h.clients.of(conn)
	}
	h.mu.Lock()
	if err == nil {
		defer h.mu.Unlock()
		pending := &pendingConn{Conn: conn, handover: h, from: from}
		h.handshaking[pending] = true
		h.accepted.Add(1)
		return pending, nil
	}
	paused := h.paused
	h.mu.Unlock()
	if !paused {
		return nil, err
	}
	l.idled.Do(func() { close(l.idle) })
	<-l.closed
	return nil, net.ErrClosed
}

// Close leaves the socket open for the next generation.
func (l *generationListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address of the socket.
func (l *generationListener) Addr() net.Addr { return l.handover.listener.Addr() }

// pendingConn follows the handshake of a connection. gRPC sets a deadline as the first
// thing that it does with one, and removes it after the handshake.
type pendingConn struct {
	net.Conn
	handover *handoverListener
	from     *client
	touched  sync.Once
}

// RemoteAddr is the client's address, with who it is.
func (c *pendingConn) RemoteAddr() net.Addr { return clientAddr{c.Conn.RemoteAddr(), c.from} }

// SetDeadline also notes how far the handshake is.
func (c *pendingConn) SetDeadline(t time.Time) error {
	c.handover.mu.Lock()
	defer c.handover.mu.Unlock()
	c.touched.Do(c.handover.accepted.Done)
	if t.IsZero() {
		delete(c.handover.handshaking, c)
	} else if c.handover.paused && c.handover.handshaking[c] {
		t = time.Now().Add(handshakeTimeout)
	}
	return c.Conn.SetDeadline(t)
}

// Close ends the connection.
func (c *pendingConn) Close() error {
	c.handover.mu.Lock()
	delete(c.handover.handshaking, c)
	c.touched.Do(c.handover.accepted.Done)
	c.handover.mu.Unlock()
	return c.Conn.Close()
}
