package criproxy

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// startProxy puts a Server in front of runtimePath and returns the path of its socket.
func startProxy(t testing.TB, runtimePath string, intercept func(*cri.Backend) map[string]Handler) (*Server, string) {
	t.Helper()
	backend, err := cri.NewBackend("unix://" + runtimePath)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Backend: backend, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if intercept != nil {
		opts.Intercept = intercept(backend)
	}
	server := New(opts)
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
	return server, path
}
