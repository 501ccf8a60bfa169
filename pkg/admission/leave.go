package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

const (
	// leaveTimeout bounds how long the plugin takes to leave the runtime.
	leaveTimeout = 15 * time.Second
	// closeTimeout bounds how long the runtime takes to close a connection of which it
	// has seen the end. No container is created meanwhile.
	closeTimeout = 500 * time.Millisecond
	// settle is how long the runtime takes to note what it has just received: that a
	// connection is closed, or the reply to Synchronize.
	settle = 50 * time.Millisecond
)

// leave closes a connection in a way that no container notices. A runtime forgets a
// plugin whose connection is closed only with the next request, and NRI up to 0.12.3
// fails that request where the plugin validates containers. But it also forgets closed
// plugins when one registers, and creates no container while it synchronizes one. So
// another plugin registers for a moment, and the connection is closed while the runtime
// synchronizes that. Its name is another one, since it checks nothing.
func leave(socket Socket, closing *watchedConn, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket.Path)
	if err != nil {
		return fmt.Errorf("connect to NRI: %w", err)
	}
	watched := &watchedConn{Conn: conn, closed: make(chan struct{})}
	defer func() { _ = watched.Close() }()
	l := &leaver{closing: closing, done: make(chan struct{})}
	s, err := stub.New(l,
		stub.WithPluginName(socket.PluginName+"-leaving"), stub.WithPluginIdx(socket.PluginIndex),
		stub.WithConnection(watched), stub.WithOnClose(func() {}), stub.WithLogger(stubLog{log}),
	)
	if err != nil {
		return fmt.Errorf("set up NRI plugin: %w", err)
	}
	if _, err := start(ctx, s, watched); err != nil {
		return err
	}
	defer s.Stop()
	select {
	case <-l.done:
		time.Sleep(settle)
		return nil
	case <-watched.closed:
		return errors.New("synchronize with NRI: connection closed")
	case <-ctx.Done():
		return fmt.Errorf("synchronize with NRI: %w", ctx.Err())
	}
}

// leaver is the plugin that registers for a moment.
type leaver struct {
	closing *watchedConn
	done    chan struct{} // closed when the connection is
}

// Configure subscribes to an event that matters to nothing, since none means all.
func (*leaver) Configure(context.Context, string, string, string) (events api.EventMask, err error) {
	events.Set(api.Event_REMOVE_POD_SANDBOX)
	return events, nil
}

// RemovePodSandbox is the hook that leaver subscribes to.
func (*leaver) RemovePodSandbox(context.Context, *api.PodSandbox) error { return nil }

// Synchronize closes the connection, and returns when the runtime has noted it.
func (l *leaver) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) {
	defer close(l.done)
	l.closing.closeWrite()
	select {
	case <-l.closing.closed:
	case <-time.After(closeTimeout):
	}
	time.Sleep(settle)
	return nil, nil
}
