package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/crio"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry"
)

func explain(ctx context.Context, trace *trace, cfg config.Config, known *facts.Facts, live bool, image string) (*decision.Decision, error) {
	e, err := newExplainer(trace, cfg, known, live)
	if err != nil {
		return nil, err
	}
	defer e.registry.Close()
	return e.decide(ctx, image)
}

// explainer decides about images as cri-proxy does.
type explainer struct {
	registry  *registry.Registry
	evaluator *decision.Evaluator
}

// newExplainer opens the registries; whoever calls it closes them.
func newExplainer(trace *trace, cfg config.Config, known *facts.Facts, live bool) (*explainer, error) {
	// What is wrong with an artifact is in the table; this is for what is
	// wrong here, such as a compatibility spec that cannot be used.
	log := cli.NewLogger(trace.out, config.Text, slog.LevelError)
	reg, runtime := openRegistry(cfg, log, trace)
	var puller decision.Runtime // of this node alone
	if live {
		puller = runtime
	}
	evaluator, err := wiring.Evaluator(cfg, known, puller, log)
	if err != nil {
		reg.Close()
		return nil, err
	}
	return &explainer{reg, evaluator}, nil
}

func (e *explainer) decide(ctx context.Context, image string) (*decision.Decision, error) {
	_, auth, err := toolAuth(ctx, image)
	if err != nil {
		return nil, err
	}
	req := decision.Request{Reference: image, Auth: auth, Snapshot: e.evaluator.Snapshot(), Explain: true}
	return decision.NewResolver(e.evaluator, e.registry).Decide(ctx, req)
}

// openRegistry opens the registries as this node reaches them, by the settings of
// the runtime's file: the tool does not query the runtime.
func openRegistry(cfg config.Config, log *slog.Logger, trace *trace) (*registry.Registry, containerd.Settings) {
	runtime, err := containerd.Read(cfg.Runtime.Config)
	if err != nil {
		log.Error("cannot read the runtime's configuration completely", "file", cfg.Runtime.Config, "error", err)
	}
	if strings.Contains(cfg.Runtime.Endpoint, "crio") {
		settings, err := crio.Reader{Endpoint: cfg.Runtime.Endpoint, RegistriesConf: os.Getenv("CONTAINERS_REGISTRIES_CONF")}.Read(context.Background())
		if err != nil {
			log.Warn("cannot read CRI-O's configuration completely", "error", err)
		}
		runtime.Name, runtime.CRIO = "cri-o", &settings
	}
	path, tables := wiring.Hosts(cfg, runtime)
	return registry.New(trace.options(registry.Options{
		HostsPath: path, Tables: tables,
		UserAgent: registry.UserAgent(cli.BuildVersion(version)), Log: log,
	})), runtime
}

// toolAuth returns the credentials that the person's container tools have for
// the image's registry, or nil.
func toolAuth(ctx context.Context, image string) (reference.Named, *registry.Auth, error) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return nil, nil, fmt.Errorf("read reference %q: %w", image, err)
	}
	home, _ := os.UserHomeDir() // without one, there is nothing in it
	auth, err := registry.AuthOf(ctx, registry.Person{Getenv: os.Getenv, Home: home, UID: os.Getuid()}, named)
	return named, auth, err
}
