package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/unixsocket"
)

const (
	// retryInterval is the pause after an address could not be used.
	retryInterval = 10 * time.Second
	// maxConns keeps clients from using up the daemon's file descriptors.
	maxConns = 32

	headerTime = 5 * time.Second
	readTime   = 10 * time.Second
	writeTime  = 30 * time.Second
	idleTime   = 30 * time.Second
	closeTime  = time.Second
	maxHeader  = 16 << 10
	maxBody    = 1 << 10 // no request needs a body
)

// Run serves at an address, host:port or unix:///path, until ctx ends. If the
// address cannot be used, it keeps retrying: health and metrics must not keep a
// daemon from its work. It returns at once if the address is "".
func (s *Server) Run(ctx context.Context, address string) {
	if address == "" {
		return
	}
	for reported := ""; ; {
		err := s.serve(ctx, address)
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); text != reported { // once, not every ten seconds
			s.options.Log.Error("cannot serve health and metrics, retrying", "address", address, "every", s.retry, "error", taken(err, address, "/proc"))
			reported = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.retry):
		}
	}
}

// serve returns when ctx ends, or with an error.
func (s *Server) serve(ctx context.Context, address string) error {
	listener, err := listen(ctx, address)
	if err != nil {
		return err
	}
	s.options.Log.Info("serving health and metrics", "address", listener.Addr().String())
	server := &http.Server{
		Handler: serving(knownHost(address, s.handler)), ConnContext: withConnection, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		if server.Shutdown(limited) != nil {
			_ = server.Close()
		}
	})
	err = server.Serve(limitedListener{listener, &connections{max: maxConns}})
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", address, errors.Join(err, server.Close()))
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	if strings.HasPrefix(address, "unix://") {
		path, err := unixsocket.ParseEndpoint(address)
		if err != nil {
			return nil, err
		}
		return unixsocket.Listen(path)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}
