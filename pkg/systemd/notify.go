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
	// maxStatus bounds the status, which systemctl shows in one line.
	maxStatus = 400
	// extendBy is the stop timeout that is requested, at half that interval.
	extendBy = 20 * time.Second
)

// Notifier reports the state of the daemon to its service manager. A nil Notifier
// does nothing.
type Notifier struct {
	log      *slog.Logger
	watchdog time.Duration // WatchdogSec, or 0
	failed   atomic.Bool   // a notification could not be sent
}

// Connect returns a notifier for NOTIFY_SOCKET, or nil if it is not set.
func Connect(log *slog.Logger) *Notifier {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("ignoring an invalid watchdog interval", "WATCHDOG_USEC", os.Getenv("WATCHDOG_USEC"), "error", err)
	}
	return &Notifier{log: log, watchdog: watchdog}
}

// Ready reports that the daemon has started.
func (n *Notifier) Ready(status string) { n.send(daemon.SdNotifyReady, statusLine(status)) }

// Stopping reports that the daemon is about to end.
func (n *Notifier) Stopping(status string) { n.send(daemon.SdNotifyStopping, statusLine(status)) }

// Reload runs reload and reports when it begins and ends.
func (n *Notifier) Reload(reload func()) {
	n.send(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", monotonic()))
	defer n.send(daemon.SdNotifyReady)
	reload()
}

// ExtendTimeout keeps requesting more time to stop until ctx ends: only the daemon
// knows how long its calls take.
func (n *Notifier) ExtendTimeout(ctx context.Context) {
	if n == nil {
		return
	}
	tick := time.NewTicker(extendBy / 2)
	defer tick.Stop()
	for {
		n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends assignments in one message. The daemon works without.
func (n *Notifier) send(assignments ...string) {
	if n == nil {
		return
	}
	_, err := daemon.SdNotify(false, strings.Join(assignments, "\n"))
	if err != nil && !n.failed.Swap(true) { // once, not with every keepalive
		n.log.Warn("sd_notify failed", "NOTIFY_SOCKET", os.Getenv("NOTIFY_SOCKET"), "error", err)
	}
}

// statusLine is one line: another one would be another assignment.
func statusLine(text string) string { return "STATUS=" + textutil.Line(text, maxStatus) }

// monotonic is the clock by which the service manager orders reloads.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano() / int64(time.Microsecond)
}

// checkInterval applies where no watchdog is configured.
const checkInterval = 10 * time.Second

// Check is a self-test: it does a piece of the daemon's work as a client would. It
// returns a short status, or an error if the work could not be done before ctx ended
// and restarting the daemon may help.
type Check func(ctx context.Context) (status string, err error)

// Watch runs the self-test until ctx ends, three times per watchdog interval, and sends a
// keepalive after each success.
func (n *Notifier) Watch(ctx context.Context, check Check) {
	if n == nil {
		return
	}
	interval := checkInterval
	if n.watchdog > 0 {
		interval = n.watchdog / 3
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		n.runCheck(ctx, interval, check)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Notifier) runCheck(ctx context.Context, timeout time.Duration, check Check) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := check(limited)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		n.log.Error("self-test failed, withholding the watchdog keepalive", "error", err)
		n.send(statusLine("not working: " + err.Error()))
	default:
		n.send(daemon.SdNotifyWatchdog, statusLine(status))
	}
}
