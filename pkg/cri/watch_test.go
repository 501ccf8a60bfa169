package cri

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// TestAMissingRuntimeIsLoggedOnceAndAgainWhenItIsBack starts the runtime after the proxy.
func TestAMissingRuntimeIsLoggedOnceAndAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rt.sock")
	backend, err := NewBackend("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	var log lockedBuffer
	done := make(chan struct{})
	go func() { defer close(done); backend.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil))) }()
	defer func() { cancel(); <-done }()
	wait := func(text string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), text); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %q in %s", text, log.String())
			}
		}
	}
	wait("cannot connect to the runtime")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	wait("connected to the runtime again")
	if n := strings.Count(log.String(), "cannot connect to the runtime"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}
