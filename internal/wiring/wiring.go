// Package wiring builds, from the configuration, what decides about images: for
// the daemons, and for the commands that show what the daemons would do.
package wiring

import (
	"log/slog"
	"time"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Evaluator returns an evaluator by the configuration, for fixed facts. runtime is
// the one that pulls, or nil.
func Evaluator(cfg config.Config, known *facts.Facts, runtime decision.Runtime, log *slog.Logger) (*decision.Evaluator, error) {
	rules, err := Rules(cfg, log)
	if err != nil {
		return nil, err
	}
	return decision.NewEvaluator(decision.Options{
		Cache: OpenCache(cfg, log), Facts: func() *facts.Facts { return known }, Rules: decision.Fixed(rules),
		Runtime: runtime, Log: log,
	}), nil
}

// OpenCache opens the state directory. If that fails, it logs an error and
// returns a cache that stores nothing.
func OpenCache(cfg config.Config, log *slog.Logger) *cache.Cache {
	state, err := cache.Open(cfg.StateDir, int64(cfg.Cache.MaxSizeMiB)<<20)
	if err != nil {
		log.Error("cannot use the state directory; nothing is cached", "state_dir", cfg.StateDir, "error", err)
	}
	return state
}

// Rules returns what the configuration asks of decisions. A compatibility spec, or a
// description of images, that cannot be read is logged and skipped.
func Rules(cfg config.Config, log *slog.Logger) (*decision.Rules, error) {
	specs, skipped, err := Specs(cfg.Select.SpecsDir)
	if err != nil {
		return nil, err
	}
	for _, problem := range skipped {
		log.Error("skipping a compatibility spec", "error", problem)
	}
	in := spec.NewInterpreter(specs)
	descriptions, skipped, err := Descriptions(cfg.Select.ImagesDir, in)
	if err != nil {
		return nil, err
	}
	for _, problem := range skipped {
		log.Error("skipping a description of images", "error", problem)
	}
	var prefer []dialect.AnnotationPreference
	for _, p := range cfg.Select.PreferAnnotations {
		prefer = append(prefer, dialect.AnnotationPreference(p))
	}
	trusted, skipped := Trust(cfg.Trust)
	for _, problem := range skipped {
		log.Error("skipping a public key", "error", problem)
	}
	return &decision.Rules{
		Trust:  trusted,
		Policy: cfg.Policy, Interpreter: in, Descriptions: descriptions,
		Prefer: prefer, NVIDIARequire: cfg.Select.NVIDIARequire, InheritBase: cfg.Select.InheritBase,
		ReferrersTTL: time.Duration(cfg.Cache.ReferrersTTL), StaleFor: time.Duration(cfg.Cache.StaleFor),
		Timeout: time.Duration(cfg.Proxy.SelectTimeout),
	}, nil
}

// Hosts returns where registries are: as the runtime has it, unless the
// configuration names folders of its own.
func Hosts(cfg config.Config, s containerd.Settings) (path string, tables registry.Tables) {
	tables = s.Registry
	tables.Replace = tables.Replace && cfg.Registry.ConfigPath == config.Auto
	if s.CRIO != nil && cfg.Registry.ConfigPath == config.Auto {
		tables.Containers = &s.CRIO.Registries
	}
	return cfg.Registry.HostsPath(s.HostsPath, s.HostsKnown || tables.Replace), tables
}
