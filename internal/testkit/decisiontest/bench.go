// Package decisiontest assembles what pulls and admissions are decided with, as the
// daemons do: an evaluator over an empty cache, and a resolver beside a registry.
package decisiontest

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Bench is an evaluator. Its rules and facts may be exchanged at any time.
type Bench struct {
	*decision.Evaluator

	Rules atomic.Pointer[decision.Rules]
	Facts atomic.Pointer[facts.Facts]
	Cache *cache.Cache
	Dir   string // of the cache
}

// New returns a Bench for a node, with the default policy.
func New(t testing.TB, node *facts.Facts) *Bench {
	t.Helper()
	b := &Bench{Dir: t.TempDir()}
	var err error
	if b.Cache, err = cache.Open(b.Dir, 64<<20); err != nil {
		t.Fatal(err)
	}
	b.Rules.Store(&decision.Rules{
		Policy: policy.Default(), Interpreter: testkit.Interpreter(t), ReferrersTTL: time.Minute, Timeout: 10 * time.Second,
	})
	b.Facts.Store(node)
	b.Evaluator = decision.NewEvaluator(decision.Options{
		Cache: b.Cache, Log: slog.New(slog.DiscardHandler), Rules: b.Rules.Load, Facts: b.Facts.Load,
	})
	return b
}

// Change exchanges the rules, as a new configuration does.
func (b *Bench) Change(how func(r *decision.Rules)) {
	rules := *b.Rules.Load()
	how(&rules)
	b.Rules.Store(&rules)
}

// Resolver returns a resolver for which the hosts are the registry.
func (b *Bench) Resolver(t testing.TB, r *fakeregistry.Registry, hosts ...string) *decision.Resolver {
	t.Helper()
	reg := registry.New(registry.Options{HostsPath: r.Hosts(hosts...)})
	t.Cleanup(reg.Close)
	return decision.NewResolver(b.Evaluator, reg)
}
