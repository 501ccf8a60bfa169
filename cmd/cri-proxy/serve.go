package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/daemon"
	"github.com/imagefit/imagefit/pkg/systemd"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// socket is what clients connect to.
type socket struct {
	criproxy.Listener
	path, runtime string
	held          bool // by the service manager, which also says whose it is
}

// listen takes the socket that the service manager holds, else it makes one.
func listen(path, runtime string, log *slog.Logger) (*socket, error) {
	held, err := systemd.Socket(log)
	if err != nil {
		return nil, err
	}
	if held == nil {
		listener, err := unixsocket.Listen(path)
		if err != nil {
			return nil, err
		}
		return &socket{listener, path, runtime, false}, nil
	}
	if actual := held.Addr().String(); !sameFile(actual, path) {
		log.Warn("the service manager's socket is not the configured one, clients of the latter reach nobody",
			"listening", actual, "proxy.listen", path)
		path = actual
	}
	return &socket{held, path, runtime, true}, nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errors.Join(errA, errB) == nil && os.SameFile(infoA, infoB)
}

// serve answers on the socket, in the group, and calls end after term has ended and with it
// the calls that ran then.
func serve(ctx, term context.Context, end func(), group *errgroup.Group, n *daemon.Daemon, server *criproxy.Server, s *socket) {
	manager := n.Systemd
	group.Go(func() error { return server.Serve(s) })
	group.Go(func() error {
		s.followOwner(term, n.Log)
		return nil
	})
	group.Go(func() error {
		probe := cri.Probe{Socket: s.path, Runtime: s.runtime, Activated: s.held}
		manager.Watch(ctx, func(ctx context.Context) (string, error) {
			text, err := probe.Check(ctx)
			if term.Err() != nil {
				text = "stopping when the calls that run are over, until then " + text
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
		limit := time.Duration(n.Config().Proxy.DrainTimeout)
		n.Log.Info("stopping when the calls that run are over", "limit", limit.String())
		manager.Stopping(fmt.Sprintf("stopping when the calls that run are over, after at most %v", limit))
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

// followOwner gives the socket the owner of the runtime's, unless it is not ours to give.
func (s *socket) followOwner(ctx context.Context, log *slog.Logger) {
	if s.held {
		return
	}
	err := unixsocket.FollowOwner(ctx, s.path, s.runtime)
	if err != nil && ctx.Err() == nil { // no reason to leave the node without a proxy
		log.Error("the socket keeps its owner, clients that are not root may be turned away", "socket", s.path, "error", err)
	}
}
