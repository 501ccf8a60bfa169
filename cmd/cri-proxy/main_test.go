package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/daemon"
)

func TestProxyServesAndStopsCleanlyWithoutARuntime(t *testing.T) {
	dir := t.TempDir()
	startAndStop(t, dir, filepath.Join(dir, "runtime.sock"), "listening")
}

func TestProxyServesWithoutTheOwnerOfTheRuntimesSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	startAndStop(t, dir, filepath.Join(file, "runtime.sock"), "cannot change socket owner")
}

// lines is a log whose lines can be received.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// startAndStop stops a proxy that has logged a message and still serves. It must not
// leave a socket behind.
func startAndStop(t *testing.T, dir, runtimeSocket, logged string) {
	t.Helper()
	cfg := config.Default()
	cfg.StateDir = filepath.Join(dir, "state")
	cfg.Runtime.Endpoint = "unix://" + runtimeSocket
	socket := filepath.Join(dir, "run", "proxy.sock")
	cfg.Proxy.Listen, cfg.Proxy.HTTPListen = "unix://"+socket, ""
	log := make(lines, 1000)
	ctx, stop := context.WithCancel(t.Context())
	n, err := daemon.Open(ctx, daemon.Options{Program: "cri-proxy", Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil)), Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, n) }()
	for deadline, found := time.After(10*time.Second), false; !found; {
		select {
		case line := <-log:
			found = strings.Contains(line, logged)
		case err := <-ended:
			t.Fatalf("ended by itself with %v", err)
		case <-deadline:
			t.Fatalf("never logged %q", logged)
		}
	}
	_, err = runtimeapi.NewRuntimeServiceClient(critest.Dial(t, socket)).Version(ctx, &runtimeapi.VersionRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "imagefit: the runtime at "+cfg.Runtime.Endpoint) {
		t.Errorf("a call failed with %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the socket still accepts connections")
	}
}
