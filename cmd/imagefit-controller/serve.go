package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/metrics"
	"github.com/imagefit/imagefit/pkg/registry"
)

// serveCommand runs the controller.
type serveCommand struct {
	leaderElect bool
	namespace   string
}

// instance is one running controller and what it is made of.
type instance struct {
	*controller.Controller

	cfg     config.Config
	log     *slog.Logger
	cluster clients
	cache   *cache.Cache
	metrics *metrics.Metrics
	started time.Time
}

func (c serveCommand) run(cmd *cobra.Command) error {
	s, err := load(cmd)
	if err != nil {
		return err
	}
	to, err := connect(cmd)
	if err != nil {
		return err
	}
	s.log.Info("starting", "program", controller.Program, "version", cli.BuildVersion(version), "mode", s.cfg.Policy.Mode)
	state := wiring.OpenCache(s.cfg, s.log)
	for {
		other, err := c.serve(cmd.Context(), s, to, state)
		if err != nil || other == nil {
			return err
		}
		if err := s.use(*other); err != nil {
			return err
		}
	}
}

// serve runs an instance until ctx ends, or until there is another configuration, which it
// returns.
func (c serveCommand) serve(ctx context.Context, s settings, to clients, state *cache.Cache) (other *config.Config, err error) {
	i := &instance{
		cfg: s.cfg, log: s.log, cluster: to, started: time.Now(),
		cache: state, metrics: metrics.New(metrics.Controller, cli.BuildVersion(version)),
	}
	i.metrics.Reloaded(nil)
	reg, err := i.open()
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	defer i.observe()()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stop()
		other = s.awaitChange(inGroup, i.metrics.Reloaded)
		return nil
	})
	group.Go(func() error {
		defer stop()
		if c.leaderElect {
			return i.elect(inGroup, c.namespace)
		}
		return i.Run(inGroup)
	})
	err = group.Wait()
	return other, err
}

// open builds the controller by the configuration.
func (i *instance) open() (*registry.Registry, error) {
	rules, err := wiring.Rules(i.cfg, i.log)
	if err != nil {
		return nil, err
	}
	rules.Timeout = time.Duration(i.cfg.Controller.Timeout)
	path, tables := wiring.Hosts(i.cfg, containerd.Settings{}) // no runtime is here
	reg := registry.New(registry.Options{
		HostsPath: path, Tables: tables, UserAgent: registry.UserAgent(cli.BuildVersion(version)), Log: i.log, Observe: i.metrics.Request,
	})
	evaluator := decision.NewEvaluator(decision.Options{Cache: i.cache, Rules: decision.Fixed(rules), Log: i.log})
	resolver := decision.NewResolver(evaluator, reg)
	gather := func(ctx context.Context, ref string, auth *registry.Auth) (*decision.Needs, error) {
		return resolver.Gather(ctx, decision.GatherRequest{Reference: ref, Auth: auth, Rules: rules})
	}
	i.Controller = controller.New(controller.Options{
		Client: i.cluster.typed, Dynamic: i.cluster.dynamic,
		Gather: gather, Evaluator: evaluator, Rules: decision.Fixed(rules), Auth: i.auth,
		PullSecrets: i.cfg.Controller.PullSecrets, Strict: i.cfg.Controller.Strict, NodeFeatures: i.cfg.Controller.NodeFeatures,
		Budget: time.Duration(i.cfg.Controller.Timeout), ResolveTTL: time.Duration(i.cfg.Controller.ResolveTTL),
		Metrics: i.metrics, Log: i.log,
	})
	return reg, nil
}

// auth returns the controller's own credentials, read each time, so that a renewed file
// is used at once.
func (i *instance) auth(ctx context.Context, repository reference.Named) (*registry.Auth, error) {
	file := i.cfg.Controller.Credentials
	if file == "" {
		return nil, nil //nolint:nilnil // anonymous
	}
	return registry.AuthOf(ctx, registry.Person{Getenv: func(name string) string {
		if name == "REGISTRY_AUTH_FILE" {
			return file
		}
		return ""
	}}, repository)
}
