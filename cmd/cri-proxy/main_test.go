package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/daemon"
)

// TestStopsCleanlyWithoutARuntime: a proxy that never saw its runtime ends
// without an error when it is told to, and leaves no socket behind.
func TestStopsCleanlyWithoutARuntime(t *testing.T) {
	dir := t.TempDir()
	startAndStop(t, dir, filepath.Join(dir, "runtime.sock"))
}

// TestServesWithoutTheOwner: a proxy that cannot find out or match the owner of
// the runtime's socket serves all the same.
func TestServesWithoutTheOwner(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	startAndStop(t, dir, filepath.Join(file, "runtime.sock"))
}

func startAndStop(t *testing.T, dir, runtimeSocket string) {
	t.Helper()
	cfg := config.Default()
	cfg.StateDir = filepath.Join(dir, "state")
	cfg.Runtime.Endpoint = "unix://" + runtimeSocket
	socket := filepath.Join(dir, "run", "proxy.sock")
	cfg.Proxy.Listen, cfg.Proxy.HTTPListen = "unix://"+socket, ""
	ctx, stop := context.WithCancel(t.Context())
	n, err := daemon.Open(ctx, daemon.Options{Program: "cri-proxy", Config: cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, n) }()
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
	select {
	case err := <-ended:
		t.Fatalf("ended by itself with %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("somebody still listens")
	}
}
