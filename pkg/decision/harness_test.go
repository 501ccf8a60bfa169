package decision

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/facts"
)

// app is the reference that most tests decide about.
const app = "registry.example/app:1"

// levelFacts are the facts of an amd64 node of an x86-64 level with these CPU
// flags and Linux 6.1.0.
func levelFacts(level int, flags ...string) *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"cpu.cpuid": flags},
		Attributes: map[string]map[string]string{
			"cpu.x86_64":     {"level": strconv.Itoa(level)},
			"kernel.version": {"full": "6.1.0", "major": "6", "minor": "1", "revision": "0"},
		},
	})
}

// newTestResolver returns a resolver with an empty cache of its own.
func newTestResolver(t testing.TB, r *testRegistry, known *facts.Facts) *Resolver {
	t.Helper()
	state, err := cache.Open(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	specs, err := spec.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return NewResolver(NewEvaluator(Options{
		Cache: state, Log: slog.New(slog.DiscardHandler),
		Facts: func() *facts.Facts { return known },
		Rules: Fixed(&Rules{
			Policy: config.Default().Policy, Interpreter: spec.NewInterpreter(specs),
			ReferrersTTL: time.Hour, StaleFor: time.Hour, Timeout: 10 * time.Second,
		}),
	}), r.reach(t))
}

// change exchanges the resolver's rules, as a new configuration does.
func change(resolver *Resolver, how func(r *Rules)) {
	fresh := *resolver.rules()
	how(&fresh)
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

// lines is a log that tests can look into.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}
