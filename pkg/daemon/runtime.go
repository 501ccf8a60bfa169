package daemon

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/distribution/reference"
	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/backfill"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Runtime returns the configuration of the runtime behind conn.
func (d *Daemon) Runtime(conn grpc.ClientConnInterface) *containerd.Runtime {
	return containerd.NewRuntime(d.Config().Runtime.Config, conn, d.Log)
}

// Registry returns the registries as this node reaches them: through the
// hosts.toml files of the runtime, unless the configuration names others.
func (d *Daemon) Registry(runtime *containerd.Runtime) *registry.Registry {
	path, tables := wiring.Hosts(d.Config(), runtime.Settings())
	reg := registry.New(registry.Options{
		HostsPath: path, Tables: tables, UserAgent: registry.UserAgent(d.Version), Log: d.Log,
		Observe: d.Metrics.Request,
	})
	runtime.Changed = func(s containerd.Settings) {
		reg.SetHosts(wiring.Hosts(d.Config(), s))
		d.renewRules() // the runtime may unpack other platforms now
	}
	d.OnReload(func(cfg config.Config) {
		reg.SetHosts(wiring.Hosts(cfg, runtime.Settings()))
		reg.Forget()
	})
	d.registry.Store(reg)
	return reg
}

// Unchanged returns why a pull must be forwarded unchanged, and the policy that
// requires it: where only the index is signed, a variant would not verify.
func Unchanged(runtime *containerd.Runtime, log *slog.Logger) func(policy.Answers) (string, []policy.Case) {
	return func(answers policy.Answers) (string, []policy.Case) {
		settings := runtime.Settings()
		if reason := settings.MustForward(); reason != "" {
			return reason, nil
		}
		if answers.ImageVerifier != policy.Forward {
			return "", nil
		}
		verifiers, err := settings.Verifiers()
		if err != nil {
			log.Warn("cannot list image verifiers", "error", err)
		}
		if len(verifiers) == 0 {
			return "", nil
		}
		return fmt.Sprintf("the runtime verifies images (%s), and a variant may not be signed: "+
				"the pull is forwarded unchanged (policy.image_verifier)", strings.Join(verifiers, ", ")),
			answers.Cases(policy.Arose{ImageVerifier: true})
	}
}

// Backfill returns the worker that looks up images that the runtime behind conn pulled
// without cri-proxy.
func (d *Daemon) Backfill(conn grpc.ClientConnInterface, evaluator *decision.Evaluator, reg *registry.Registry) *backfill.Worker {
	cfg := d.Config()
	return backfill.New(backfill.Options{
		Store:   backfill.OnAnyRuntime(images.New(conn, cfg.Runtime.Namespace), conn),
		Decider: decision.NewResolver(evaluator, reg),
		Auth: func(repository reference.Named) *registry.Auth {
			auth, err := registry.AuthFromFile(cfg.NRI.Credentials, repository)
			if err != nil {
				d.Log.Warn("cannot read registry credentials, continuing without", "file", cfg.NRI.Credentials, "error", err)
			}
			return auth
		},
		Log: d.Log,
	})
}
