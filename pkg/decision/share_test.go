package decision

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Callers of the same reference share one look-up, which outlives the one that
// began it; callers with other credentials make their own.
func TestCallersOfOneReferenceShareALookup(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.index("1", r.image("linux/amd64", "a"), r.image("linux/amd64/v3", "b"))
	resolver := newTestResolver(t, r, levelFacts(3))
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
		_, err := resolver.Decide(first, Request{Snapshot: resolver.Snapshot(), Reference: app})
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
			if d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app}); err != nil || chosen(d) != "linux/amd64/v3" {
				t.Errorf("decided %+v, %v", d, err)
			}
		})
	}
	for _, user := range []string{"alice", "bob"} {
		group.Go(func() {
			_, _ = resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app, Auth: &registry.Auth{Username: user, Password: "x"}})
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

// A caller whose snapshot is newer than that of a look-up in flight gets a decision
// of its own: none that was made by the rules of before.
func TestCallersWithOtherRulesDoNotShareALookup(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.index("1", r.image("linux/amd64/v3", "a"))
	resolver := newTestResolver(t, r, levelFacts(1))
	asked, release := make(chan struct{}, 2), make(chan struct{})
	r.answer(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "/manifests/1") {
			asked <- struct{}{}
			<-release
		}
		return false
	})
	var group sync.WaitGroup
	for _, answer := range []string{policy.Refuse, policy.Forward} {
		change(resolver, func(r *Rules) { r.Policy.NoFit = answer })
		req := Request{Reference: app, Snapshot: resolver.Snapshot()}
		group.Go(func() {
			d, err := resolver.Decide(t.Context(), req)
			if err != nil || !slices.Contains(d.Cases, policy.Case{Key: "no_fit", Answer: answer}) {
				t.Errorf("no_fit = %s: decided %+v, %v", answer, d, err)
			}
		})
		<-asked
	}
	close(release)
	group.Wait()
}

// A panic while deciding is one failed decision.
func TestAPanicWhileDecidingFailsOneDecision(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.index("1", r.image("linux/amd64", "a"))
	resolver := newTestResolver(t, r, levelFacts(1))
	noFacts := Snapshot{Rules: resolver.rules()}
	if _, err := resolver.Decide(t.Context(), Request{Reference: app, Snapshot: noFacts}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("error %v", err)
	}
}
