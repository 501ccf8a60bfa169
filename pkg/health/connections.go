package health

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// connections bounds the connections of clients. A new one is always accepted: at the
// limit the oldest on which no request is served is closed for it, since anyone may open
// connections and send nothing.
type connections struct {
	max int

	mu  sync.Mutex
	all []*connection // the oldest first
}

// connection is one of a client.
type connection struct {
	net.Conn
	of      *connections
	serving int // requests
}

// limitedListener accepts connections that are in a set.
type limitedListener struct {
	net.Listener
	connections *connections
}

// Accept waits for a connection.
func (l limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.connections.add(conn), nil
}

func (c *connections) add(conn net.Conn) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) >= c.max {
		oldest := max(0, slices.IndexFunc(c.all, func(one *connection) bool { return one.serving == 0 }))
		_ = c.all[oldest].Conn.Close()
		c.all = slices.Delete(c.all, oldest, oldest+1)
	}
	added := &connection{Conn: conn, of: c}
	c.all = append(c.all, added)
	return added
}

// Close ends the connection.
func (c *connection) Close() error {
	c.of.mu.Lock()
	if i := slices.Index(c.of.all, c); i >= 0 {
		c.of.all = slices.Delete(c.of.all, i, i+1)
	}
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// connectionKey is of the context of a connection's requests.
type connectionKey struct{}

func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// serving notes on which connections requests are served.
func serving(handler http.Handler) http.Handler {
	count := func(c *connection, by int) {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.serving += by
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			count(c, 1)
			defer count(c, -1)
		}
		handler.ServeHTTP(w, r)
	})
}
