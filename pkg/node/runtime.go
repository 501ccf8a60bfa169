package node

import (
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Runtime returns what the runtime behind conn goes by.
func (n *Node) Runtime(conn grpc.ClientConnInterface) *containerd.Runtime {
	return containerd.NewRuntime(n.Config().Runtime.Config, conn, n.Log)
}

// Registry returns the registries as this node reaches them: by the same
// hosts.toml files as the runtime, unless the configuration names others.
func (n *Node) Registry(runtime *containerd.Runtime) *registry.Registry {
	hosts := func(cfg config.Config, s containerd.Settings) string {
		return cfg.Registry.HostsPath(s.HostsPath, s.HostsKnown)
	}
	reg := registry.New(registry.Options{
		HostsPath: hosts(n.Config(), runtime.Settings()), UserAgent: registry.UserAgent(n.Version), Log: n.Log,
		Observe: n.Metrics.Request,
	})
	runtime.Changed = func(s containerd.Settings) {
		reg.SetHostsPath(hosts(n.Config(), s))
		n.renewRules() // which variants the runtime unpacks may be others now
	}
	n.OnReload(func(cfg config.Config) { reg.SetHostsPath(hosts(cfg, runtime.Settings())) })
	return reg
}

// Unchanged returns why pulls must reach the runtime as they came, and which
// policy says so. A variant is not what was signed, where its index was.
func Unchanged(runtime *containerd.Runtime, log *slog.Logger) func(policy.Answers) (string, policy.Case) {
	return func(answers policy.Answers) (string, policy.Case) {
		settings := runtime.Settings()
		if reason := settings.MustForward(); reason != "" {
			return reason, policy.Case{}
		}
		if answers.ImageVerifier != policy.Forward {
			return "", policy.Case{}
		}
		verifiers, err := settings.Verifiers()
		if err != nil {
			log.Warn("image verifiers cannot be looked for", "error", err)
		}
		if len(verifiers) == 0 {
			return "", policy.Case{}
		}
		return fmt.Sprintf("the runtime verifies images (%s) and a variant may not be what was signed: "+
				"the pull is forwarded unchanged (policy.image_verifier)", strings.Join(verifiers, ", ")),
			answers.Cases(policy.Arose{ImageVerifier: true})[0]
	}
}
