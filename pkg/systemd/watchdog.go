package systemd

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

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
