package audit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

const (
	// checkInterval is how often a Watcher looks whether something changed.
	checkInterval = 2 * time.Second
	// auditInterval is how often it audits without a change: containers come and go.
	auditInterval = 30 * time.Second
	// followPause is how long it waits before it follows what is kept of images again.
	followPause = time.Minute
)

// Watcher audits a node at the start and whenever facts, rules or what is known of images
// change, until Run ends.
type Watcher struct {
	*Auditor
	// Record, if set, is called with one record for each container that is found not to
	// fit although it did, or was admitted by facts that have changed since.
	Record func(decisionlog.Record)
	Log    *slog.Logger

	last    atomic.Pointer[Report]
	changed atomic.Bool // what is kept of images
}

// Last returns the counts of the last audit, or false before the first.
func (w *Watcher) Last() (Counts, bool) {
	r := w.last.Load()
	if r == nil {
		return Counts{}, false
	}
	return r.Counts(), true
}

// Run audits until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { w.follow(ctx) })
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	var audited, changedAt time.Time
	problem := ""
	for {
		changed := w.changed.Swap(false)
		changed = w.recall.isOutdated() || changed
		if changed {
			changedAt = time.Now()
		}
		if changed || time.Since(audited) >= auditInterval {
			r, err := w.Audit(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil:
				problem, audited = "", time.Now()
				w.compare(r, changedAt)
			default: // and again with the next tick
				audited = time.Time{}
				if err.Error() != problem {
					problem = err.Error()
					w.Log.Warn("cannot audit the running containers", "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// follow forgets the verdicts on images of which something else is known.
func (w *Watcher) follow(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.recall.images.FollowRemembered(ctx, func(key string) {
			w.recall.forget(key)
			w.changed.Store(true)
		})
		w.recall.forget("")
		w.changed.Store(true)
		select {
		case <-ctx.Done():
		case <-time.After(followPause):
		}
	}
}

// compare keeps a report, and tells of the containers that do not fit and did in the last
// one, or were created before the last change.
func (w *Watcher) compare(r Report, changedAt time.Time) {
	before := w.last.Swap(&r)
	if before == nil {
		if unfit := r.Counts().Unfit(); unfit > 0 {
			w.Log.Warn("running containers do not fit this node", "containers", unfit, "see", "imagefit audit")
		}
		return
	}
	fitted := map[string]bool{}
	for _, c := range before.Containers {
		fitted[c.ID] = !c.Unfit()
	}
	found := 0
	for _, c := range r.Containers {
		did, seen := fitted[c.ID]
		if !c.Unfit() || seen && !did || !seen && !c.Created.Before(changedAt) {
			continue
		}
		found++
		if w.Record != nil {
			w.Record(c.record(r.Time))
		}
	}
	if found > 0 {
		w.Log.Warn("running containers no longer fit this node", "containers", found, "see", "imagefit audit")
	}
}

// record is what the decision log has of a container that does not fit any more.
func (c Container) record(at time.Time) decisionlog.Record {
	return decisionlog.Record{
		Time: at, Action: policy.FoundUnfit, Reference: c.Reference, Namespace: c.Namespace, Pod: c.Pod, Container: c.Name,
		Image: c.ImageID, Manifest: c.Manifest, Mode: c.Mode, Exempt: c.Exempt, Reason: c.Reason,
	}
}
