package systemd

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// lookEvery is how often the status is looked at where no watchdog asks for it.
const lookEvery = 10 * time.Second

// Check does a piece of the daemon's work as its clients see it. It returns in a few
// words how the daemon is, or an error if the work was not done, or not before ctx ended,
// and to start the daemon anew may help.
type Check func(ctx context.Context) (status string, err error)

// Watch checks the daemon until ctx ends, and feeds the watchdog after every check that went well. It
// checks thrice in the time after which the watchdog bites.
func (m *Manager) Watch(ctx context.Context, check Check) {
	if m == nil {
		return
	}
	every := lookEvery
	if m.watchdog > 0 {
		every = m.watchdog / 3
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		m.look(ctx, every, check)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) look(ctx context.Context, limit time.Duration, check Check) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, err := check(limited)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.log.Error("the daemon does not do its work, the watchdog is not fed", "error", err)
		m.tell(statusLine("not working: " + err.Error()))
	default:
		m.tell(daemon.SdNotifyWatchdog, statusLine(status))
	}
}
