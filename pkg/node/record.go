package node

import (
	"context"
	"log/slog"

	"github.com/imagefit/imagefit/pkg/decisionlog"
)

// Record makes a decision known: one line in the log and one in the journal.
func (n *Node) Record(r decisionlog.Record) {
	r.Program = n.Program
	r = r.Bounded()
	n.Metrics.Record(r)
	level := r.Level()
	n.Log.LogAttrs(context.Background(), level, "decision", r.Attrs()...)
	if level == slog.LevelDebug {
		return
	}
	err := n.Journal.Append(r)
	if err != nil {
		n.Metrics.JournalFailed()
	}
	if known := n.unkept.Swap(err != nil); err != nil && !known { // once, not with every pull
		n.Log.Error("decisions are not kept", "error", err)
	}
}
