package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/api"
	nrilog "github.com/containerd/nri/pkg/log"
	"github.com/containerd/nri/pkg/stub"
)

// The backoff between attempts to connect.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 3 * time.Second
)

// Socket is the NRI socket, and the identity with which the plugin registers.
type Socket struct {
	Path        string
	PluginName  string
	PluginIndex string // two digits: the order among plugins
	// Conn is the connection of a plugin that the runtime has launched, in place of one
	// to Path. There is no other after it.
	Conn net.Conn
}

// String says where the runtime is.
func (s Socket) String() string {
	if s.Conn != nil {
		return "that launched the plugin"
	}
	return "at " + s.Path
}

func (s Socket) connect(ctx context.Context) (net.Conn, error) {
	if s.Conn != nil {
		return s.Conn, nil
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", s.Path)
}

// launchedLoadTimeout is the same for a plugin that the runtime has launched, and for
// which it waits before it starts anything.
const launchedLoadTimeout = time.Second

// loadTimeout is how long the plugin waits for the verdicts on all known images before
// it connects: earlier it would admit what it is about to know.
const loadTimeout = 10 * time.Second

// Run keeps the plugin connected until ctx ends. It waits for the runtime to start
// and reconnects after each restart of it.
func Run(ctx context.Context, p *Plugin, socket Socket, log *slog.Logger) error {
	var working sync.WaitGroup
	defer working.Wait()
	defer p.found.Wait()
	defer p.end()
	evaluating, stop := context.WithCancel(ctx)
	defer stop() // where the connection ends first
	working.Go(func() { p.verdicts.Run(evaluating) })
	wait := loadTimeout
	if socket.Conn != nil {
		wait = launchedLoadTimeout
	}
	select {
	case <-ctx.Done():
	case <-p.verdicts.Loaded():
	case <-time.After(wait):
		log.Warn("connecting before all known images are evaluated", "waited", wait)
	}
	if socket.Conn != nil {
		return onlySession(ctx, p, socket, log)
	}
	keepConnected(ctx, p, socket, log)
	return nil
}

// onlySession serves the connection of a plugin that the runtime has launched. After it
// the plugin ends: a runtime that starts again launches it again.
func onlySession(ctx context.Context, p *Plugin, socket Socket, log *slog.Logger) error {
	if _, err := session(ctx, p, socket, log); ctx.Err() == nil {
		return fmt.Errorf("connection to the runtime %s: %w", socket, err)
	}
	return nil // ctx ended the session
}

// keepConnected reconnects until ctx ends.
func keepConnected(ctx context.Context, p *Plugin, socket Socket, log *slog.Logger) {
	backoff, reported := minBackoff, ""
	for ctx.Err() == nil {
		connected, err := session(ctx, p, socket, log)
		switch text := fmt.Sprint(err); {
		case ctx.Err() != nil: // which ended the session
		case connected:
			log.Warn("the runtime closed the connection", "socket", socket.Path, "error", err)
			backoff, reported = minBackoff, ""
		case text != reported: // once, not every three seconds
			log.Warn("waiting for the runtime", "socket", socket.Path, "error", err)
			reported = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// session serves one connection until it ends. It reports whether the plugin was
// registered.
func session(ctx context.Context, p *Plugin, socket Socket, log *slog.Logger) (connected bool, err error) {
	conn, err := socket.connect(ctx)
	if err != nil {
		return false, fmt.Errorf("connect to NRI: %w", err)
	}
	watched := &watchedConn{Conn: conn, closed: make(chan struct{})}
	defer func() { _ = watched.Close() }()
	options := []stub.Option{stub.WithConnection(watched), stub.WithOnClose(func() {}), stub.WithLogger(stubLog{log})}
	if os.Getenv(api.PluginIdxEnvVar) == "" { // else the stub has both from there, and accepts no others
		options = append(options, stub.WithPluginName(socket.PluginName), stub.WithPluginIdx(socket.PluginIndex))
	}
	s, err := stub.New(p, options...)
	if err != nil {
		return false, fmt.Errorf("set up NRI plugin: %w", err)
	}
	if started, err := start(ctx, s, watched); err != nil || !started {
		return false, err
	}
	p.state.register()
	defer func() { p.state.end(ctx.Err() == nil) }()
	defer p.stamp.keep()
	tick := time.NewTicker(stampInterval)
	defer tick.Stop()
	for {
		select {
		case <-watched.closed:
			s.Wait()
			return true, errors.New("connection lost")
		case <-ctx.Done():
			if socket.Conn != nil {
				_ = watched.Close() // no other plugin can register for it
			} else if err := leave(socket, watched, log); err != nil {
				log.Warn("cannot leave the runtime before closing the connection, the next container may fail", "error", err)
			}
			s.Stop()
			return true, ctx.Err()
		case <-tick.C:
			p.stamp.keep()
		}
	}
}

// start registers a plugin with the runtime. The hooks go on when ctx ends, until the
// connection is closed.
func start(ctx context.Context, s stub.Stub, watched *watchedConn) (started bool, err error) {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		err = s.Start(context.WithoutCancel(ctx))
	}()
	select {
	case <-returned:
		if err != nil {
			return false, fmt.Errorf("register with NRI: %w", err)
		}
		return true, nil
	case <-watched.closed:
		abandon(s, returned)
		return false, errors.New("register with NRI: connection closed")
	case <-ctx.Done():
		_ = watched.Close()
		abandon(s, returned)
		return false, ctx.Err()
	}
}

// abandon ends a Start whose connection is closed. By itself Start waits forever
// for Configure if the runtime died after the registration.
func abandon(s stub.Stub, started <-chan struct{}) {
	select {
	case <-started:
		return
	case <-time.After(minBackoff):
	}
	if service, ok := s.(api.PluginService); ok {
		_, _ = service.Configure(context.Background(), &api.ConfigureRequest{})
		<-started
		s.Stop()
	}
}

// watchedConn closes a channel when either side closes the connection.
type watchedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Read notices when the other side closes the connection.
func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.once.Do(func() { close(w.closed) })
	}
	return n, err
}

// closeWrite lets the other side see the end of the connection.
func (w *watchedConn) closeWrite() {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		_ = w.Close()
	}
}

// Close closes the connection from this side.
func (w *watchedConn) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// stubLog is the logger of the NRI stub, whose information is for debugging.
type stubLog struct{ log *slog.Logger }

var _ nrilog.Logger = stubLog{}

// Debugf implements nrilog.Logger.
func (l stubLog) Debugf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "NRI stub", "text", fmt.Sprintf(format, args...))
}

// Infof implements nrilog.Logger.
func (l stubLog) Infof(ctx context.Context, format string, args ...any) {
	l.Debugf(ctx, format, args...)
}

// Warnf implements nrilog.Logger.
func (l stubLog) Warnf(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, "NRI stub", "text", fmt.Sprintf(format, args...))
}

// Errorf implements nrilog.Logger.
func (l stubLog) Errorf(ctx context.Context, format string, args ...any) {
	l.log.ErrorContext(ctx, "NRI stub", "text", fmt.Sprintf(format, args...))
}
