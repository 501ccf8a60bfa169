package decision

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/facts"
)

// app is the reference that most tests decide about.
const app = "registry.example/app:1"

// newTestResolver returns a resolver with an empty cache of its own.
func newTestResolver(t testing.TB, r *fakeregistry.Registry, known *facts.Facts) *Resolver {
	t.Helper()
	state, err := cache.Open(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	return NewResolver(NewEvaluator(Options{
		Cache: state, Log: slog.New(slog.DiscardHandler),
		Facts: func() *facts.Facts { return known },
		Rules: Fixed(&Rules{
			Policy: config.Default().Policy, Interpreter: testkit.Interpreter(t),
			ReferrersTTL: time.Hour, StaleFor: time.Hour, Timeout: 10 * time.Second,
		}),
	}), reach(t, r))
}

// change exchanges the resolver's rules, as a new configuration does.
func change(resolver *Resolver, hows ...func(r *Rules)) {
	fresh := *resolver.rules()
	for _, how := range hows {
		how(&fresh)
	}
	resolver.rules = Fixed(&fresh)
}

func decide(t testing.TB, resolver *Resolver, ref string) *Decision {
	t.Helper()
	d, err := decideAs(t.Context(), resolver, ref)
	if err != nil {
		t.Fatalf("Decide(%s): %v", ref, err)
	}
	return d
}

// explain decides as decide does, with an explanation.
func explain(t testing.TB, resolver *Resolver, ref string) *Decision {
	t.Helper()
	d, err := resolver.Decide(t.Context(), Request{Reference: ref, Snapshot: resolver.Snapshot(), Explain: true})
	if err != nil {
		t.Fatalf("Decide(%s): %v", ref, err)
	}
	return d
}

func decideAs(ctx context.Context, resolver *Resolver, ref string) (*Decision, error) {
	return resolver.Decide(ctx, Request{Reference: ref, Snapshot: resolver.Snapshot()})
}

// chosen is the platform of the choice, or "none".
func chosen(d *Decision) string {
	if d.Choice == None {
		return "none"
	}
	return d.Label(d.Choice)
}

// recall returns the verdict on what is kept of an image, for a container that may have
// come by the references.
func recall(r *Resolver, id string, references ...string) (RecalledVariant, error) {
	recalled, err := r.Recall(r.Snapshot(), id)
	if err != nil {
		return RecalledVariant{}, err
	}
	v, ok := recalled.Of(references...)
	if !ok {
		return v, cache.ErrMiss
	}
	return v, nil
}
