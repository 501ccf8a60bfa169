package audit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// records are what a watcher records.
type records struct {
	mu  sync.Mutex
	all []decisionlog.Record
}

func (r *records) add(rec decisionlog.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, rec)
}

func (r *records) containers() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.all {
		names = append(names, rec.Container)
	}
	slices.Sort(names)
	return names
}

func TestChangesOfTheNodeAndOfImagesAreAudited(t *testing.T) {
	t.Parallel()
	node, bench := newNode(t)
	bench.Facts.Store(testkit.Node(3))
	node.run("app", "web", of(app))
	node.run("plain", "web", of(plain))
	conn := node.serve(t)
	log, kept := new(testkit.Log), new(records)
	w := &Watcher{Auditor: New(bench, conn, conn), Log: log.Logger(), Record: kept.add}
	if _, audited := w.Last(); audited {
		t.Error("there are numbers before the first audit")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	refused := func(n int) func() bool {
		return func() bool { c, audited := w.Last(); return audited && c.Containers["refused"] == n }
	}
	eventually(t, "the first audit, with nothing to refuse", refused(0))

	bench.Facts.Store(testkit.Node(2))
	eventually(t, "the container that the new facts refuse", refused(1))
	eventually(t, "its record", func() bool { return slices.Equal(kept.containers(), []string{"app"}) })
	kept.mu.Lock()
	if rec := kept.all[0]; rec.Action != policy.FoundUnfit || rec.Namespace != "shop" || rec.Reference != app || rec.Reason == "" {
		t.Errorf("record %+v", rec)
	}
	kept.mu.Unlock()

	err := bench.Cache.PutImage(idOf(plain), decision.Image{Variants: []decision.Variant{{Reference: plain, Claims: decision.EntryClaims{
		Platform: json.RawMessage(`{"os": "linux", "architecture": "amd64", "variant": "v4"}`)}}}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the container whose image needs something else now", refused(2))
	eventually(t, "its record, and no other of the first", func() bool { return slices.Equal(kept.containers(), []string{"app", "plain"}) })

	bench.Change(func(r *decision.Rules) { r.Policy.Mode = policy.Audit })
	eventually(t, "the new rules", refused(0))
	bench.Facts.Store(testkit.Node(4))
	eventually(t, "a node that all fit", func() bool { c, _ := w.Last(); return c.Unfit() == 0 })
	if n := log.Count("running containers no longer fit this node"); n != 2 {
		t.Errorf("%d log lines, want 2: %s", n, log.String())
	}
}

// A change while the runtime is away is audited when it is back, with one line in the log.
func TestChangeWhileTheRuntimeIsAwayIsAudited(t *testing.T) {
	t.Parallel()
	node, bench := newNode(t)
	bench.Facts.Store(testkit.Node(3))
	node.run("app", "web", of(app))
	conn := node.serve(t)
	log := new(testkit.Log)
	w := &Watcher{Auditor: New(bench, conn, conn), Log: log.Logger()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(t, "the first audit", func() bool { _, audited := w.Last(); return audited })
	fails := func(err error) {
		node.mu.Lock()
		defer node.mu.Unlock()
		node.err = err
	}
	fails(errors.New("away"))
	bench.Facts.Store(testkit.Node(2))
	eventually(t, "a line about it", func() bool { return log.Count("cannot audit the running containers") == 1 })
	fails(nil)
	eventually(t, "the container that the new facts refuse", func() bool { c, _ := w.Last(); return c.Containers["refused"] == 1 })
}

// What was created by the facts of now is recorded by the hooks, or was at the start.
func TestOnlyContainersThatChangesAffectAreRecorded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	one := func(id string, created time.Time, verdict Verdict) Container {
		return Container{ID: id, Name: id, Created: created, Finding: Finding{Verdict: verdict}}
	}
	log, kept := new(testkit.Log), new(records)
	w := &Watcher{Log: log.Logger(), Record: kept.add}
	w.compare(Report{Containers: []Container{one("old", now.Add(-time.Hour), Refused), one("good", now, Admitted)}}, now)
	if len(kept.all) != 0 || log.Count("running containers do not fit this node") != 1 {
		t.Errorf("at the start: %v, %s", kept.containers(), log.String())
	}
	w.compare(Report{Containers: []Container{
		one("old", now.Add(-time.Hour), Refused), one("good", now, Tolerated),
		one("before the change", now.Add(-time.Second), Refused), one("after the change", now.Add(time.Second), Tolerated),
	}}, now)
	if got := kept.containers(); !slices.Equal(got, []string{"before the change", "good"}) {
		t.Errorf("recorded %q", got)
	}
}

func TestWhoSignedIsFound(t *testing.T) {
	t.Parallel()
	rec := decisionlog.Record{Reference: app, SignedBy: []string{"ops.pub"}}
	if f := findingOf(rec, idOf(app)); f.Verdict != Admitted || !slices.Equal(f.SignedBy, rec.SignedBy) {
		t.Errorf("%+v", f)
	}
}
