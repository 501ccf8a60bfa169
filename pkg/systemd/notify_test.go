package systemd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// notified is the service manager's end of NOTIFY_SOCKET.
type notified struct{ *net.UnixConn }

func listenNotify(t *testing.T, watchdog string) notified {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdog)
	return notified{conn}
}

// next returns the assignments of the next message.
func (n notified) next(t *testing.T) []string {
	t.Helper()
	_ = n.SetReadDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 4096)
	size, err := n.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(buffer[:size]), "\n")
}

// silent discards the log.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestReadyReloadAndStoppingAreReported(t *testing.T) {
	manager := listenNotify(t, "")
	m := Connect(silent())
	m.Ready("listening")
	reloaded := false
	m.Reload(func() { reloaded = true })
	m.Stopping("one\nWATCHDOG=trigger\n" + strings.Repeat("ü", 1000))
	if got := manager.next(t); got[0] != "READY=1" || got[1] != "STATUS=listening" {
		t.Errorf("ready: %q", got)
	}
	if got := manager.next(t); len(got) != 2 || got[0] != "RELOADING=1" || !strings.HasPrefix(got[1], "MONOTONIC_USEC=") || got[1] == "MONOTONIC_USEC=0" {
		t.Errorf("reloading: %q", got)
	}
	if got := manager.next(t); len(got) != 1 || got[0] != "READY=1" || !reloaded {
		t.Errorf("reloaded %t: %q", reloaded, got)
	}
	got := manager.next(t)
	if len(got) != 2 || got[0] != "STOPPING=1" || !strings.HasPrefix(got[1], "STATUS=one; WATCHDOG=trigger; ü") {
		t.Errorf("stopping: %q", got)
	}
	if len(got[1]) > 500 || !utf8.ValidString(got[1]) {
		t.Errorf("the status has %d bytes: %q", len(got[1]), got[1])
	}
}

func TestMoreTimeToStopIsRequested(t *testing.T) {
	manager := listenNotify(t, "")
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		Connect(silent()).ExtendTimeout(ctx)
		close(done)
	}()
	if got := manager.next(t); got[0] != "EXTEND_TIMEOUT_USEC=20000000" {
		t.Errorf("got %q", got)
	}
	end()
	<-done
}

func TestKeepaliveFollowsOnlyASuccessfulCheck(t *testing.T) {
	fed := func(message []string) bool { return message[0] == "WATCHDOG=1" }
	for name, c := range map[string]struct {
		check  Check
		fed    bool
		status string
	}{
		"works": {func(context.Context) (string, error) { return "serving", nil }, true, "STATUS=serving"},
		"fails": {func(context.Context) (string, error) { return "", errors.New("no answer") }, false, "STATUS=not working: no answer"},
		"hangs": {func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, false, "STATUS=not working: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			manager := listenNotify(t, "30000")
			ctx, end := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				Connect(silent()).Watch(ctx, c.check)
				close(done)
			}()
			for range 5 {
				if got := manager.next(t); fed(got) != c.fed || got[len(got)-1] != c.status {
					t.Errorf("got %q", got)
				}
			}
			end()
			<-done
		})
	}
}

// TestHangingCheckSendsNoKeepalive: the message after it is that of the test.
func TestHangingCheckSendsNoKeepalive(t *testing.T) {
	manager := listenNotify(t, "3000")
	ctx, end := context.WithCancel(t.Context())
	overdue, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	overdueOnce := sync.OnceFunc(func() { close(overdue) })
	n := Connect(silent())
	go func() {
		n.Watch(ctx, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			overdueOnce()
			<-release
			return "serving", nil
		})
		close(done)
	}()
	<-overdue
	end()
	close(release)
	<-done
	n.Ready("after it")
	if got := manager.next(t); got[0] != "READY=1" {
		t.Errorf("got %q", got)
	}
}

func TestNilNotifierDoesNothing(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m := Connect(silent())
	if m != nil {
		t.Fatal("found a service manager")
	}
	m.Ready("")
	m.Stopping("")
	reloaded := false
	m.Reload(func() { reloaded = true })
	if !reloaded {
		t.Error("does not reload")
	}
	m.ExtendTimeout(t.Context())
	m.Watch(t.Context(), func(context.Context) (string, error) {
		t.Error("runs a check without a service manager")
		return "", nil
	})
}

func TestFailedNotificationIsLoggedOnce(t *testing.T) {
	manager := listenNotify(t, "nonsense")
	_ = manager.Close()
	var log strings.Builder
	m := Connect(slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		m.Ready("listening")
	}
	if strings.Count(log.String(), "sd_notify failed") != 1 || strings.Count(log.String(), "WATCHDOG_USEC=nonsense") != 1 {
		t.Errorf("log: %s", log.String())
	}
}
