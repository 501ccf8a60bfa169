package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/daemon"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// listenNotify makes the test a service manager and returns its notifications.
func listenNotify(t *testing.T, watchdog time.Duration) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	return func() string {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buffer := make([]byte, 4096)
		size, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:size])
	}
}

// TestServiceManagerIsNotifiedOfEachState follows a proxy from its start without a runtime
// to its end.
func TestServiceManagerIsNotifiedOfEachState(t *testing.T) {
	next := listenNotify(t, 300*time.Millisecond)
	dir := t.TempDir()
	cfg := config.Default()
	cfg.StateDir = filepath.Join(dir, "state")
	cfg.Runtime.Endpoint = filepath.Join(dir, "runtime.sock")
	cfg.Proxy.Listen, cfg.Proxy.HTTPListen = filepath.Join(dir, "proxy.sock"), ""
	log := slog.New(slog.DiscardHandler)
	n, err := daemon.Open(t.Context(), daemon.Options{Program: "cri-proxy", Config: cfg, Log: log, Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	n.Systemd = systemd.Connect(log)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, n) }()
	var received []string
	await := func(parts ...string) {
		t.Helper()
		for {
			message := next()
			received = append(received, message)
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(message, part) }) {
				return
			}
			if len(received) > 300 {
				t.Fatalf("not notified of %q but of %q", parts, received)
			}
		}
	}
	await("READY=1", "STATUS=listening on "+cfg.Proxy.Listen)
	await("WATCHDOG=1", "STATUS=waiting for the runtime at "+cfg.Runtime.Endpoint)
	critest.Start(t, cfg.Runtime.Endpoint, &critest.Runtime{})
	await("WATCHDOG=1", "STATUS=serving fake 2.4.2 on "+cfg.Proxy.Listen)
	stop()
	await("STOPPING=1", "STATUS=stopping")
	await("EXTEND_TIMEOUT_USEC=")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestProxyThatDoesNotAnswerSendsNoKeepalive has a listener that never answers in the place
// of a proxy, while the runtime answers.
func TestProxyThatDoesNotAnswerSendsNoKeepalive(t *testing.T) {
	next := listenNotify(t, 6*time.Second) // so that the runtime has a second to answer
	dir := t.TempDir()
	wedged, runtimeSocket := filepath.Join(dir, "proxy.sock"), filepath.Join(dir, "runtime.sock")
	listener, err := net.Listen("unix", wedged)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	critest.Start(t, runtimeSocket, &critest.Runtime{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		systemd.Connect(slog.New(slog.DiscardHandler)).Watch(ctx, cri.Probe{Socket: wedged, Runtime: runtimeSocket}.Check)
		close(done)
	}()
	for range 2 {
		if got := next(); strings.Contains(got, "WATCHDOG=1") || !strings.Contains(got, "STATUS=not working: ") {
			t.Errorf("notified of %q", got)
		}
	}
	stop()
	<-done
}
