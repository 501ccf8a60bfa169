package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/daemon"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/systemd"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// stopping is the status after SIGTERM.
const stopping = "stopping once running calls have finished"

// socket is what clients connect to.
type socket struct {
	criproxy.Listener
	path, runtime string
	activated     bool // by the service manager, which also sets the owner
}

// listen takes the socket of the service manager, else it makes one.
func listen(path, runtime string, log *slog.Logger) (*socket, error) {
	activated, err := systemd.Socket(log)
	if err != nil {
		return nil, err
	}
	if activated == nil {
		if err := notRuntime(path, runtime); err != nil {
			return nil, err
		}
		listener, err := unixsocket.Listen(path)
		if err != nil {
			return nil, err
		}
		return &socket{listener, path, runtime, false}, nil
	}
	if actual := activated.Addr().String(); !fsutil.SameFile(actual, path) {
		log.Warn("the socket of the service manager is not proxy.listen; clients of proxy.listen cannot connect",
			"socket", actual, "proxy_listen", path)
		path = actual
	}
	if err := notRuntime(path, runtime); err != nil {
		_ = activated.Close()
		return nil, err
	}
	return &socket{activated, path, runtime, true}, nil
}

// notRuntime returns an error if the socket of the proxy is that of the runtime.
func notRuntime(path, runtime string) error {
	if !fsutil.SameFile(path, runtime) {
		return nil
	}
	return fmt.Errorf("listen on %s: it leads to the runtime's socket %s, so that the proxy would call itself; "+
		"proxy.listen and runtime.endpoint must be two sockets", path, runtime)
}

// serve answers on the socket, in the group. It calls end when term has ended and the calls
// that ran then have finished.
func serve(ctx, term context.Context, end func(), group *errgroup.Group, d *daemon.Daemon, server *criproxy.Server, s *socket) {
	manager := d.Systemd
	group.Go(func() error { return server.Serve(s) })
	group.Go(func() error {
		s.followOwner(term, d.Log)
		return nil
	})
	group.Go(func() error {
		probe := cri.Probe{Socket: s.path, Runtime: s.runtime, Activated: s.activated}
		manager.Watch(ctx, func(ctx context.Context) (string, error) {
			text, err := probe.Check(ctx)
			if term.Err() != nil {
				text = stopping + ", until then " + text
			}
			return text, err
		})
		return nil
	})
	group.Go(func() error {
		defer end()
		select {
		case <-term.Done():
		case <-ctx.Done(): // something of the group failed
		}
		limit := time.Duration(d.Config().Proxy.DrainTimeout)
		d.Log.Info(stopping, "limit", limit.String())
		manager.Stopping(fmt.Sprintf("%s, after at most %v", stopping, limit))
		group.Go(func() error {
			manager.ExtendTimeout(ctx)
			return nil
		})
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		return server.Shutdown(drain)
	})
	manager.Ready("listening on " + s.path)
}

// followOwner gives a socket that the proxy made the owner of the runtime's.
func (s *socket) followOwner(ctx context.Context, log *slog.Logger) {
	if s.activated {
		return
	}
	err := unixsocket.FollowOwner(ctx, s.path, s.runtime)
	if err != nil && ctx.Err() == nil { // not a reason to leave the node without a proxy
		log.Error("cannot change socket owner; non-root clients will be denied", "socket", s.path, "error", err)
	}
}

// checks are what makes the proxy ready: it listens until it is stopped, and the runtime
// answers.
func checks(term context.Context, runtime grpc.ClientConnInterface) []health.Check {
	return []health.Check{
		{Name: "listening", Probe: func(context.Context) error {
			if term.Err() != nil {
				return errors.New(stopping)
			}
			return nil
		}},
		{Name: "runtime", Probe: func(ctx context.Context) error {
			_, err := runtimeapi.NewRuntimeServiceClient(runtime).Version(ctx, &runtimeapi.VersionRequest{})
			return err
		}},
	}
}
