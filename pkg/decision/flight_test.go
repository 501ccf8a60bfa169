package decision

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Callers of the same reference share one look-up, which outlives the one that
// began it; callers with other credentials make their own.
func TestSharedLookup(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.index("1", r.image("linux/amd64", "a"), r.image("linux/amd64/v3", "b"))
	road := newTestRoad(t, r, levelFacts(3))
	asked, release := make(chan struct{}, 10), make(chan struct{})
	r.answer(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "/manifests/1") {
			asked <- struct{}{}
			<-release
		}
		return false
	})
	first, giveUp := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := road.Decide(first, Request{Reference: app})
		gaveUp <- err
	}()
	<-asked
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller: %v", err)
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if d, err := road.Decide(t.Context(), Request{Reference: app}); err != nil || chosen(d) != "linux/amd64/v3" {
				t.Errorf("decided %+v, %v", d, err)
			}
		})
	}
	for _, user := range []string{"alice", "bob"} {
		group.Go(func() {
			_, _ = road.Decide(t.Context(), Request{Reference: app, Auth: &registry.Auth{Username: user, Password: "x"}})
		})
		<-asked
	}
	time.Sleep(50 * time.Millisecond) // for a sixth look-up that must not come
	close(release)
	group.Wait()
	if len(asked) != 0 {
		t.Errorf("%d look-ups more than one for each of the three", len(asked))
	}
}

// A panic while deciding is one failed decision.
func TestPanicWhileDeciding(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.index("1", r.image("linux/amd64", "a"))
	road := newTestRoad(t, r, levelFacts(1))
	road.Facts = func() *facts.Facts { panic("no facts") }
	if _, err := road.Decide(t.Context(), Request{Reference: app}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("error %v", err)
	}
}
