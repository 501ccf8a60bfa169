package cri_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// startProxy puts the proxy in front of a runtime, since it is made of what is tested
// here, and returns its connection to the runtime and the path of its socket.
func startProxy(t testing.TB, runtimePath string) (*cri.Backend, string) {
	t.Helper()
	backend, err := cri.NewBackend("unix://" + runtimePath)
	if err != nil {
		t.Fatal(err)
	}
	return backend, serveProxy(t, backend, runtimePath)
}

// serveProxy serves the proxy beside the socket of a runtime until the test ends.
func serveProxy(t testing.TB, backend *cri.Backend, runtimePath string) string {
	t.Helper()
	server := criproxy.New(criproxy.Options{Backend: backend, Log: slog.New(slog.DiscardHandler)})
	path := filepath.Join(filepath.Dir(runtimePath), "proxy.sock")
	listener, err := unixsocket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = backend.Close()
	})
	return path
}

// pair starts a proxy before runtimePath and returns connections past it and through it.
func pair(t *testing.T, runtimePath string) (direct, proxied *grpc.ClientConn) {
	t.Helper()
	_, proxyPath := startProxy(t, runtimePath)
	return critest.Dial(t, runtimePath), critest.Dial(t, proxyPath)
}
