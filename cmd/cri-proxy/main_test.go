package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/config"
)

// TestStopsCleanlyWithoutARuntime: a proxy that never saw its runtime ends
// without an error when it is told to, and leaves no socket behind.
func TestStopsCleanlyWithoutARuntime(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.StateDir = filepath.Join(dir, "state")
	cfg.Runtime.Endpoint = "unix://" + filepath.Join(dir, "runtime.sock")
	socket := filepath.Join(dir, "run", "proxy.sock")
	cfg.Proxy.Listen = "unix://" + socket
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("somebody still listens")
	}
}
