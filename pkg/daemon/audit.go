package daemon

import (
	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/pkg/audit"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
)

// Auditor returns what audits the node whose runtime is behind conn. Records of containers
// that do not fit any more are for one daemon of a node to write.
func (d *Daemon) Auditor(conn grpc.ClientConnInterface) *audit.Watcher {
	w := &audit.Watcher{Auditor: audit.New(d.Evaluator(nil), conn, conn), Log: d.Log}
	if d.Program == decisionlog.Plugin {
		w.Record = d.Record
	}
	return w
}

func auditStatus(w *audit.Watcher) *health.AuditStatus {
	counts, audited := w.Last()
	if !audited {
		return nil
	}
	s := health.AuditStatus(counts)
	return &s
}
