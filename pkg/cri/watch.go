package cri

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/connectivity"
)

// Watch keeps the connection to the runtime up until ctx ends, and logs once when the
// runtime is not there and once when it is back.
func (b *Backend) Watch(ctx context.Context, log *slog.Logger) {
	missing := false
	for {
		state := b.conn.GetState()
		switch {
		case state == connectivity.Idle:
			b.conn.Connect()
		case state == connectivity.TransientFailure && !missing:
			missing = true
			log.Warn("cannot connect to the runtime, calls fail until it runs: start it, or correct runtime.endpoint", "runtime", b.endpoint)
		case state == connectivity.Ready && missing:
			missing = false
			log.Info("connected to the runtime again", "runtime", b.endpoint)
		}
		if state == connectivity.Shutdown || !b.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}
