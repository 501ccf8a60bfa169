package node

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/metrics"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// Options are what a Node is made of.
type Options struct {
	Program string // cri-proxy or nri-plugin
	Version string
	Sources config.Sources
	Config  config.Config // what the sources said last
	Log     *slog.Logger
	Level   *slog.LevelVar // of Log
}

// Node is what one daemon knows and is told: the facts of this node, what is
// known of images, and the configuration of this moment.
type Node struct {
	Facts   *hostfacts.Source
	Cache   *cache.Cache
	Log     *slog.Logger
	Journal *decisionlog.Journal
	Metrics *metrics.Metrics
	Program string
	Version string
	Manager *systemd.Manager // that started the daemon, or nil

	sources   config.Sources
	level     *slog.LevelVar
	settings  atomic.Pointer[settings]
	applied   []func(config.Config) // what takes up a new configuration
	keptFresh bool                  // applied is complete
	hangup    chan os.Signal
	unkept    atomic.Bool // the journal could not be written
	started   time.Time
	rejected  atomic.Bool // the configuration that was read last is not the one that holds
}

// settings is the configuration and what follows from it.
type settings struct {
	config config.Config
	rules  *decision.Rules
	at     time.Time // when they were read
}

// Open collects the facts and opens the state folder. A folder that cannot be
// written is logged and no error: then everything is fetched anew.
func Open(ctx context.Context, o Options) (*Node, error) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // first of all: by itself it ends the program
	n := &Node{
		hangup:  hangup,
		Facts:   hostfacts.NewSource(ctx, hostfacts.NewRoot(o.Config.Facts.Root), o.Log),
		Log:     o.Log,
		Journal: decisionlog.Open(o.Config.StateDir),
		Metrics: metrics.New(o.Program, o.Version),
		started: time.Now(),
		Program: o.Program, Version: o.Version, sources: o.Sources, level: o.Level,
	}
	rules, err := Rules(o.Config, o.Log)
	if err != nil {
		return nil, err
	}
	n.settings.Store(&settings{config: o.Config, rules: rules, at: n.started})
	n.Cache = openCache(o.Config, o.Log)
	return n, nil
}

// Evaluator returns an evaluator by the configuration and the facts of the moment.
func (n *Node) Evaluator(unpacks func(ocispec.Platform) bool) *decision.Evaluator {
	return decision.NewEvaluator(decision.Options{
		Cache: n.Cache, Facts: n.Facts.Current, Rules: n.Rules, Unpacks: unpacks, Log: n.Log,
	})
}

// Config returns the configuration of this moment.
func (n *Node) Config() config.Config { return n.settings.Load().config }

// Rules returns the rules of this moment.
func (n *Node) Rules() *decision.Rules { return n.settings.Load().rules }

// renewRules has what was decided by the rules of this moment decided anew.
func (n *Node) renewRules() {
	for {
		old := n.settings.Load()
		fresh, rules := *old, *old.rules
		fresh.rules = &rules
		if n.settings.CompareAndSwap(old, &fresh) {
			return
		}
	}
}

// Evaluator returns an evaluator by the configuration, for fixed facts.
func Evaluator(cfg config.Config, known *facts.Facts, unpacks func(ocispec.Platform) bool, log *slog.Logger) (*decision.Evaluator, error) {
	rules, err := Rules(cfg, log)
	if err != nil {
		return nil, err
	}
	return decision.NewEvaluator(decision.Options{
		Cache: openCache(cfg, log), Facts: func() *facts.Facts { return known }, Rules: decision.Fixed(rules),
		Unpacks: unpacks, Log: log,
	}), nil
}

// openCache opens the state folder. Where it cannot be used, everything is fetched
// each time.
func openCache(cfg config.Config, log *slog.Logger) *cache.Cache {
	state, err := cache.Open(cfg.StateDir, int64(cfg.Cache.MaxSizeMiB)<<20)
	if err != nil {
		log.Error("the state folder cannot be used, nothing is kept", "state_dir", cfg.StateDir, "error", err)
	}
	return state
}

// Rules are what the configuration asks for. A compatibility spec that cannot be
// used is logged and left out.
func Rules(cfg config.Config, log *slog.Logger) (*decision.Rules, error) {
	specs, skipped, err := compat.LoadSpecs(cfg.Select.SpecsDir)
	if err != nil {
		return nil, err
	}
	for _, problem := range skipped {
		log.Error("a compatibility spec is left out", "error", problem)
	}
	return &decision.Rules{
		Policy: cfg.Policy, Interpreter: compat.NewInterpreter(specs),
		Prefer: preferences(cfg.Select.PreferAnnotations), NVIDIARequire: cfg.Select.NVIDIARequire,
		ReferrersTTL: time.Duration(cfg.Cache.ReferrersTTL), StaleFor: time.Duration(cfg.Cache.StaleFor),
		Timeout: time.Duration(cfg.Proxy.SelectTimeout),
	}, nil
}

func preferences(configured []config.Preference) []compat.AnnotationPreference {
	var list []compat.AnnotationPreference
	for _, p := range configured {
		list = append(list, compat.AnnotationPreference{Key: p.Key, Value: p.Value, Weight: p.Weight})
	}
	return list
}
