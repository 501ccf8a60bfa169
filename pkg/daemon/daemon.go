package daemon

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/audit"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/metrics"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// Options are what a Daemon is made of.
type Options struct {
	Program string // cri-proxy or nri-plugin
	Version string
	Sources config.Sources
	Config  config.Config // as loaded from Sources
	Log     *slog.Logger
	Level   *slog.LevelVar   // of Log
	Reload  <-chan os.Signal // SIGHUP
}

// Daemon is the state of one daemon: the facts of this node, what is cached of
// images, and the current configuration.
type Daemon struct {
	Program   string
	Version   string
	Facts     *hostfacts.Source
	Cache     *cache.Cache
	Log       *slog.Logger
	Decisions *decisionlog.Log
	Metrics   *metrics.Metrics
	Systemd   *systemd.Notifier // that started the daemon, or nil
	// Clients, where set before Observe, lists who calls the daemon.
	Clients func() []health.ClientStatus
	// Names, where set before Observe, says who keeps the names of images.
	Names func() *health.NamesStatus
	// NRI, if set, is the connection of the plugin, for the status.
	NRI func() *health.NRIStatus
	// Audit, where set before Observe, audits what runs on the node.
	Audit *audit.Watcher

	loading   sync.Mutex // of sources
	sources   config.Sources
	level     *slog.LevelVar
	reloads   <-chan os.Signal
	started   time.Time
	settings  atomic.Pointer[settings]
	mistake   atomic.Pointer[error] // why settings are not the configuration on disk
	logFailed atomic.Bool           // the decision log could not be written last time

	registry atomic.Pointer[registry.Registry] // the one that Registry returned last

	mu          sync.Mutex
	subscribers []func(config.Config)
}

// settings is a configuration and what follows from it.
type settings struct {
	config config.Config
	rules  *decision.Rules
	loaded time.Time
	files  string // the state of the operator's rule files
}

// Open collects the facts and opens the state directory. If that cannot be
// written, the daemon logs an error and works without a cache.
func Open(ctx context.Context, o Options) (*Daemon, error) {
	d := &Daemon{
		Program:   o.Program,
		Version:   o.Version,
		Facts:     hostfacts.NewSource(ctx, hostfacts.NewRoot(o.Config.Facts.Root), o.Log),
		Cache:     wiring.OpenCache(o.Config, o.Log),
		Log:       o.Log,
		Decisions: decisionlog.Open(o.Config.StateDir),
		Metrics:   metrics.New(o.Program, o.Version),
		sources:   o.Sources,
		level:     o.Level,
		reloads:   o.Reload,
		started:   time.Now(),
	}
	files := wiring.RuleFiles(o.Config)
	rules, err := wiring.Rules(o.Config, o.Log)
	if err != nil {
		return nil, err
	}
	d.settings.Store(&settings{config: o.Config, rules: rules, loaded: d.started, files: files})
	return d, nil
}

// Evaluator returns an evaluator by the current configuration and facts, which
// both may change. runtime is the one that pulls, or nil.
func (d *Daemon) Evaluator(runtime decision.Runtime) *decision.Evaluator {
	return decision.NewEvaluator(decision.Options{
		Cache: d.Cache, Facts: d.Facts.Current, Rules: d.Rules, Runtime: runtime, Log: d.Log,
	})
}

// Config returns the current configuration.
func (d *Daemon) Config() config.Config { return d.settings.Load().config }

// Rules returns the current rules.
func (d *Daemon) Rules() *decision.Rules { return d.settings.Load().rules }

// renewRules replaces the rules by an equal copy, which invalidates the
// decisions that are remembered under the old ones.
func (d *Daemon) renewRules() {
	for {
		old := d.settings.Load()
		renewed, rules := *old, *old.rules
		renewed.rules = &rules
		if d.settings.CompareAndSwap(old, &renewed) {
			return
		}
	}
}

// Record counts a decision, logs it, and appends it to the decision log.
func (d *Daemon) Record(r decisionlog.Record) {
	r.Program = d.Program
	r = r.Bounded()
	d.Metrics.Record(r)
	level := r.Level()
	d.Log.LogAttrs(context.Background(), level, "decision", r.Attrs()...)
	if level == slog.LevelDebug {
		return
	}
	err := d.Decisions.Append(r)
	if err != nil {
		d.Metrics.DecisionLogFailed()
	}
	if failing := d.logFailed.Swap(err != nil); err != nil && !failing { // once, not with every pull
		d.Log.Error("cannot write the decision log", "error", err)
	}
}
