package decision

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Callers of the same reference share one look-up, which outlives the one that
// began it; callers with other credentials make their own.
func TestCallersOfOneReferenceShareALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewResolver(NewEvaluator(Options{Log: slog.New(slog.DiscardHandler)}), nil)
		request := func(user string) Request {
			return Request{Reference: app, Auth: &registry.Auth{Username: user}, Snapshot: Snapshot{Rules: &Rules{}}}
		}
		shared, alice, bob := request(""), request("alice"), request("bob")
		lookups, release := map[string]int{}, make(chan struct{})
		var mu sync.Mutex
		decide := func(ctx context.Context, req Request) (*Decision, error) {
			mu.Lock()
			lookups[req.Auth.Username]++
			mu.Unlock()
			<-release
			return &Decision{Reference: req.Reference}, ctx.Err()
		}
		first, giveUp := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := r.share(first, shared, decide)
			gaveUp <- err
		}()
		synctest.Wait()
		var group sync.WaitGroup
		for _, req := range []Request{shared, shared, shared, shared, shared, alice, bob} {
			group.Go(func() {
				if d, err := r.share(t.Context(), req, decide); err != nil || d.Reference != app {
					t.Errorf("%q decided %+v, %v", req.Auth.Username, d, err)
				}
			})
		}
		synctest.Wait()
		giveUp()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("the first caller: %v", err)
		}
		synctest.Wait() // all of them wait now, and no look-up is still to begin
		if want := map[string]int{"": 1, "alice": 1, "bob": 1}; !maps.Equal(lookups, want) {
			t.Errorf("look-ups %v, want %v", lookups, want)
		}
		close(release)
		group.Wait()
	})
}

// A look-up ends with its last caller, and the next one begins another.
func TestALookupEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewResolver(NewEvaluator(Options{Log: slog.New(slog.DiscardHandler)}), nil)
		req := Request{Reference: app, Snapshot: Snapshot{Rules: &Rules{}}}
		ended := make(chan error, 2)
		decide := func(ctx context.Context, _ Request) (*Decision, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		for range 2 {
			ctx, giveUp := context.WithCancel(t.Context())
			var group sync.WaitGroup
			for range 2 {
				group.Go(func() { _, _ = r.share(ctx, req, decide) })
			}
			synctest.Wait()
			if len(ended) > 0 || len(r.flights.byKey) != 1 {
				t.Errorf("%d look-ups ended, %d under way", len(ended), len(r.flights.byKey))
			}
			giveUp()
			group.Wait()
			if err := <-ended; !errors.Is(err, context.Canceled) || len(r.flights.byKey) != 0 {
				t.Errorf("it ended with %v, %d under way", err, len(r.flights.byKey))
			}
		}
	})
}

// A caller whose snapshot is newer than that of a look-up in flight gets a decision
// of its own: none that was made by the rules of before.
func TestCallersWithOtherRulesDoNotShareALookup(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.Index("1", r.Image("linux/amd64/v3", "a"))
	resolver := newTestResolver(t, r, testkit.Node(1))
	asked, release := make(chan struct{}, 2), make(chan struct{})
	r.Answer(func(_ http.ResponseWriter, req *http.Request) bool {
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
	r.Index("1", r.Image("linux/amd64", "a"))
	resolver := newTestResolver(t, r, testkit.Node(1))
	noFacts := Snapshot{Rules: resolver.rules()}
	if _, err := resolver.Decide(t.Context(), Request{Reference: app, Snapshot: noFacts}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("error %v", err)
	}
}
