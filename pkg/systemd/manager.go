package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/internal/textutil"
)

const (
	// maxStatus bounds what is shown of the daemon in one line.
	maxStatus = 400
	// extendBy is how much more time is asked for, every half of it.
	extendBy = 20 * time.Second
)

// Manager is the service manager. A nil Manager is none, and told nothing.
type Manager struct {
	log      *slog.Logger
	watchdog time.Duration // to be fed at least this often, or 0
	deaf     atomic.Bool   // it could not be told something
}

// Connect returns the service manager that the environment names (NOTIFY_SOCKET), or nil.
func Connect(log *slog.Logger) *Manager {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	m := &Manager{log: log}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog is not fed", "WATCHDOG_USEC", os.Getenv("WATCHDOG_USEC"), "error", err)
	}
	m.watchdog = watchdog
	return m
}

// Ready says that the daemon does its work from now on.
func (m *Manager) Ready(status string) { m.tell(daemon.SdNotifyReady, statusLine(status)) }

// Stopping says that the daemon is about to end.
func (m *Manager) Stopping(status string) { m.tell(daemon.SdNotifyStopping, statusLine(status)) }

// Reload runs reload and says when it begins and ends.
func (m *Manager) Reload(reload func()) {
	m.tell(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", monotonic()))
	defer m.tell(daemon.SdNotifyReady)
	reload()
}

// AwaitEnd asks for more time to stop, again and again until ctx ends: only the daemon
// knows how long it may take.
func (m *Manager) AwaitEnd(ctx context.Context) {
	if m == nil {
		return
	}
	tick := time.NewTicker(extendBy / 2)
	defer tick.Stop()
	for {
		m.tell(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell sends assignments of one moment. A manager that does not hear them is no
// reason to stop.
func (m *Manager) tell(assignments ...string) {
	if m == nil {
		return
	}
	_, err := daemon.SdNotify(false, strings.Join(assignments, "\n"))
	if err != nil && !m.deaf.Swap(true) { // once, not with every beat
		m.log.Warn("the service manager cannot be told how it goes", "NOTIFY_SOCKET", os.Getenv("NOTIFY_SOCKET"), "error", err)
	}
}

func statusLine(text string) string { return "STATUS=" + textutil.Line(text, maxStatus) }

// monotonic is the time by which the service manager orders what it is told.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano() / int64(time.Microsecond)
}
