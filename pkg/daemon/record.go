package daemon

import (
	"context"
	"log/slog"

	"github.com/imagefit/imagefit/pkg/decisionlog"
)

// Record counts a decision, logs it, and appends it to the decision log.
func (d *Daemon) Record(r decisionlog.Record) {
	r.Program = d.Program
	r = r.Bounded()
	d.Metrics.Record(r)
	level := r.Level()
	d.Log.LogAttrs(context.Background(), level, "decision", r.Attrs()...)
	if level == slog.LevelDebug {
		return
	}
	err := d.Decisions.Append(r)
	if err != nil {
		d.Metrics.DecisionLogFailed()
	}
	if failing := d.logFailed.Swap(err != nil); err != nil && !failing { // once, not with every pull
		d.Log.Error("cannot write the decision log", "error", err)
	}
}
