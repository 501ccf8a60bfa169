package daemon

import (
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/backfill"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/crio"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Runtime returns the configuration of the runtime behind conn.
func (d *Daemon) Runtime(conn grpc.ClientConnInterface) *containerd.Runtime {
	runtime := containerd.NewRuntime(d.Config().Runtime.Config, conn, d.Log)
	runtime.CRIO = crio.Reader{Endpoint: d.Config().Runtime.Endpoint, RegistriesConf: os.Getenv("CONTAINERS_REGISTRIES_CONF")}.Read
	runtime.Learn()
	return runtime
}

// Registry returns the registries as this node reaches them: through the
// hosts.toml files of the runtime, unless the configuration names others.
func (d *Daemon) Registry(runtime *containerd.Runtime) *registry.Registry {
	d.warnOfProxies()
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

// KeepsNames returns whether the proxy keeps the tags of images, and why: where the
// runtime has no records of them, and where a mirror on the node may serve these records
// to other nodes.
func (d *Daemon) KeepsNames(runtime *containerd.Runtime, reg *registry.Registry) func() (bool, string) {
	return func() (bool, string) {
		configured, settings := d.Config().Proxy.Names, runtime.Settings()
		switch configured {
		case config.ByProxy, config.ByRuntime:
			return configured == config.ByProxy, "proxy.names"
		}
		if !settings.IsContainerd() {
			return true, "runtime " + settings.Name + " has no image records"
		}
		if mirror, of := reg.LocalMirror(); mirror != "" {
			return true, fmt.Sprintf("the mirror %s of %s is on this node and may serve image records to others", mirror, of)
		}
		return false, "no registry has a mirror on this node"
	}
}

// FullName returns the full name that the runtime resolves a short one to, or the name
// itself where that is not known. containerd resolves all alike.
func (d *Daemon) FullName(runtime *containerd.Runtime) func(string) string {
	return func(ref string) string {
		settings := runtime.Settings()
		if settings.CRIO == nil || !names.IsShort(ref) {
			return ref
		}
		if full, known := settings.CRIO.Registries.Expand(ref); known {
			return full.String()
		}
		return ref
	}
}

// IsPinned returns whether the runtime is configured to keep the image of a name, however
// little space there is.
func (d *Daemon) IsPinned(runtime *containerd.Runtime) func(string) bool {
	return func(ref string) bool {
		settings := runtime.Settings()
		return settings.CRIO != nil && settings.CRIO.IsPinned(ref)
	}
}

// Unchanged returns why the pull of a reference for a namespace must be forwarded
// unchanged, and the policy that requires it: where only the index is signed, a variant
// would not verify.
func (d *Daemon) Unchanged(runtime *containerd.Runtime) func(ref, namespace string, answers policy.Answers) (string, []policy.Case) {
	return func(ref, namespace string, answers policy.Answers) (string, []policy.Case) {
		settings := runtime.Settings()
		switch {
		case settings.IsContainerd():
		case d.Config().Proxy.Names == config.ByRuntime:
			return "runtime " + settings.Name + ` has no image records: with proxy.names = "runtime" pulls are forwarded unchanged`, nil
		case names.IsShort(ref):
			return fmt.Sprintf("runtime %s does not resolve the short name %s to one image by its registries.conf: the pull is forwarded unchanged", settings.Name, ref), nil
		}
		if answers.ImageVerifier == policy.Select {
			return "", nil
		}
		verifiers, err := verifiersOf(settings, ref, namespace)
		if err != nil {
			d.Log.Warn("cannot list image verifiers", "error", err)
		}
		if len(verifiers) == 0 {
			return "", nil
		}
		return fmt.Sprintf("the runtime verifies images (%s), and a variant may not be signed: "+
				"the pull is forwarded unchanged (policy.image_verifier)", strings.Join(verifiers, ", ")),
			answers.Cases(policy.Arose{ImageVerifier: true})
	}
}

// verifiersOf names what verifies the image of a reference before it is pulled.
func verifiersOf(settings containerd.Settings, ref, namespace string) ([]string, error) {
	if settings.CRIO == nil {
		return settings.Verifiers()
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, err
	}
	return settings.CRIO.Signatures(named, namespace)
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
