package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/api"
	nrilog "github.com/containerd/nri/pkg/log"
	"github.com/containerd/nri/pkg/stub"
)

const (
	minPause = 100 * time.Millisecond
	maxPause = 3 * time.Second
)

// Socket is where and under which name the plugin meets the runtime.
type Socket struct {
	Path        string
	PluginName  string
	PluginIndex string // two digits: the order among plugins
}

// Run keeps the plugin connected until ctx ends. It waits for a runtime that is
// not there yet and comes back after every restart of it.
func Run(ctx context.Context, p *Plugin, socket Socket, log *slog.Logger) error {
	pause, reported := minPause, ""
	for {
		connected, err := session(ctx, p, socket, log)
		if ctx.Err() != nil {
			return nil
		}
		if connected {
			log.Warn("the runtime closed the connection", "socket", socket.Path, "error", err)
			pause, reported = minPause, ""
		} else if text := fmt.Sprint(err); text != reported { // once, not every three seconds
			log.Warn("waiting for the runtime", "socket", socket.Path, "error", err)
			reported = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// session serves one connection until it ends. It reports whether the runtime
// took the plugin in.
func session(ctx context.Context, p *Plugin, socket Socket, log *slog.Logger) (connected bool, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket.Path)
	if err != nil {
		return false, fmt.Errorf("connect to NRI: %w", err)
	}
	lost := &watched{Conn: conn, done: make(chan struct{})}
	defer func() { _ = lost.Close() }()
	s, err := stub.New(p,
		stub.WithPluginName(socket.PluginName), stub.WithPluginIdx(socket.PluginIndex),
		stub.WithConnection(lost), stub.WithOnClose(func() {}), stub.WithLogger(stubLog{log}),
	)
	if err != nil {
		return false, fmt.Errorf("set up NRI plugin: %w", err)
	}
	started := make(chan error, 1)
	go func() { started <- s.Start(ctx) }()
	select {
	case err := <-started:
		if err != nil {
			return false, fmt.Errorf("register with NRI: %w", err)
		}
	case <-lost.done:
		abandon(s, started)
		return false, errors.New("register with NRI: the runtime hung up")
	case <-ctx.Done():
		_ = lost.Close()
		abandon(s, started)
		return false, ctx.Err()
	}
	p.connected.Store(true)
	defer p.connected.Store(false)
	select {
	case <-lost.done:
		s.Wait()
		return true, errors.New("connection lost")
	case <-ctx.Done():
		s.Stop()
		return true, ctx.Err()
	}
}

// abandon ends a Start whose connection is gone. By itself Start waits for ever
// to be configured by a runtime that died after it took the registration.
func abandon(s stub.Stub, started <-chan error) {
	select {
	case <-started:
		return
	case <-time.After(minPause):
	}
	if service, ok := s.(api.PluginService); ok {
		_, _ = service.Configure(context.Background(), &api.ConfigureRequest{})
		<-started
		s.Stop()
	}
}

// watched tells when a connection is over, whichever side ended it.
type watched struct {
	net.Conn
	over sync.Once
	done chan struct{}
}

// Read notes that the other side is gone.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.end()
	}
	return n, err
}

// Close ends the connection from this side.
func (w *watched) Close() error {
	w.end()
	return w.Conn.Close()
}

func (w *watched) end() { w.over.Do(func() { close(w.done) }) }

// stubLog brings the stub's own lines into ours; its chatter is for debugging.
type stubLog struct{ log *slog.Logger }

var _ nrilog.Logger = stubLog{}

func (l stubLog) Debugf(ctx context.Context, format string, args ...any) { l.debug(ctx, format, args) }
func (l stubLog) Infof(ctx context.Context, format string, args ...any)  { l.debug(ctx, format, args) }

func (l stubLog) Warnf(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(format, args...))
}

func (l stubLog) Errorf(ctx context.Context, format string, args ...any) {
	l.log.ErrorContext(ctx, fmt.Sprintf(format, args...))
}

func (l stubLog) debug(ctx context.Context, format string, args []any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
}
