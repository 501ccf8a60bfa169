package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Node is the facts of this node and what is known of images.
type Node struct {
	Config config.Config
	Facts  *hostfacts.Source
	Judge  decision.Judge
	Log    *slog.Logger
}

// Open collects the facts and opens the state folder. A folder that cannot be
// written is logged and no error: then everything is fetched anew.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*Node, error) {
	facts := hostfacts.NewSource(ctx, hostfacts.NewRoot(cfg.Facts.Root), log)
	judge, err := Judge(cfg, facts.Current, log)
	if err != nil {
		return nil, err
	}
	return &Node{Config: cfg, Facts: facts, Judge: judge, Log: log}, nil
}

// Judge returns the judge that the configuration asks for, on any facts.
func Judge(cfg config.Config, facts func() *hostfacts.Facts, log *slog.Logger) (decision.Judge, error) {
	specs, skipped, err := compat.LoadSpecs(cfg.Select.SpecsDir)
	if err != nil {
		return decision.Judge{}, err
	}
	for _, problem := range skipped {
		log.Error("a compatibility spec is left out", "error", problem)
	}
	state, err := cache.Open(cfg.StateDir, int64(cfg.Cache.MaxSizeMiB)<<20)
	if err != nil {
		log.Error("the state folder cannot be used, nothing is kept", "state_dir", cfg.StateDir, "error", err)
	}
	return decision.Judge{
		Cache: state, Interpreter: compat.NewInterpreter(specs), Facts: facts, Log: log,
		Prefer: preferences(cfg.Select.PreferAnnotations),
		Policy: decision.Policy{
			MalformedArtifact: decision.Answer(cfg.Policy.MalformedArtifact),
			UnknownAttribute:  decision.Answer(cfg.Policy.UnknownAttribute),
		},
	}, nil
}

func preferences(configured []config.Preference) []compat.AnnotationPreference {
	var list []compat.AnnotationPreference
	for _, p := range configured {
		list = append(list, compat.AnnotationPreference{Key: p.Key, Value: p.Value, Weight: p.Weight})
	}
	return list
}

// Road returns the road of a pull on this node.
func (n *Node) Road(reg *registry.Registry) *decision.Road { return Road(n.Config, n.Judge, reg) }

// Road returns the road of a pull for a judge.
func Road(cfg config.Config, judge decision.Judge, reg *registry.Registry) *decision.Road {
	return &decision.Road{
		Judge: judge, Registry: reg, NVIDIARequire: cfg.Select.NVIDIARequire,
		ReferrersTTL: time.Duration(cfg.Cache.ReferrersTTL),
		Timeout:      time.Duration(cfg.Proxy.SelectTimeout),
	}
}

// Exemptions returns the pods that the operator exempts from refusals.
func (n *Node) Exemptions() decision.Exemptions {
	p := n.Config.Policy
	return decision.Exemptions{Namespaces: p.ExemptNamespaces, StaticPods: p.ExemptStaticPods}
}

// KeepFresh looks at the facts again at every interval and on SIGHUP, in the
// group, until ctx ends.
func (n *Node) KeepFresh(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return n.Facts.Run(ctx, time.Duration(n.Config.Facts.Refresh)) })
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	group.Go(func() error {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangup:
				n.Facts.Refresh(ctx)
			}
		}
	})
}

// Logger returns the logger of a daemon: one line of text per event.
func Logger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", level, err)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}

// UserAgent is what registries read in their logs.
func UserAgent(version string) string {
	return filepath.Base(os.Args[0]) + "/" + version + " (imagefit)"
}
