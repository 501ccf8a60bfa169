// Command cri-proxy stands between the kubelet and the container runtime. It
// passes every CRI call through untouched and chooses, at PullImage, the
// variant of an image that fits this node best.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/node"
	"github.com/imagefit/imagefit/pkg/registry"
)

// version is set at link time with -ldflags "-X main.version=...".
var version string

func main() {
	os.Exit(node.Daemon{
		Name:  "cri-proxy",
		Short: "Choose the variant of an image that fits this node",
		Long: `cri-proxy is a CRI proxy in front of the container runtime. Point the kubelet's
imageServiceEndpoint at its socket and it chooses, whenever an image index is
pulled, the variant that fits this node best. All else passes untouched.

It starts before the runtime does, reconnects to it for ever, and on SIGTERM
lets running pulls finish. SIGHUP makes it look at the node's facts again.`,
		Version: version, Run: run,
	}.Execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	runtimeSocket, err := criproxy.ParseEndpoint(cfg.Runtime.Endpoint)
	if err != nil {
		return fmt.Errorf("key runtime.endpoint: %w", err)
	}
	socket, err := criproxy.ParseEndpoint(cfg.Proxy.Listen)
	if err != nil {
		return fmt.Errorf("key proxy.listen: %w", err)
	}
	backend, err := criproxy.NewBackend(cfg.Runtime.Endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	n, err := node.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	reg := registry.New(registry.Options{
		HostsPath: cfg.Registry.ConfigPath, UserAgent: node.UserAgent(node.BuildVersion(version)), Log: log,
	})
	defer reg.Close()
	puller := criproxy.NewPuller(backend, cfg.Runtime.Namespace, n.Road(reg), policy(n), log)
	server := criproxy.New(criproxy.Options{
		Backend: backend, Log: log,
		Intercept: map[string]criproxy.Handler{criproxy.PullImage: puller.Handle},
	})
	listener, err := criproxy.Listen(socket)
	if err != nil {
		return err
	}
	log.Info("listening", "socket", socket, "runtime", runtimeSocket)

	group, ctx := errgroup.WithContext(ctx)
	n.KeepFresh(ctx, group)
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error {
		err := criproxy.FollowOwner(ctx, socket, runtimeSocket)
		if err != nil && ctx.Err() == nil { // no reason to leave the node without a proxy
			log.Error("the socket keeps its owner, clients that are not root may be turned away", "socket", socket, "error", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		log.Info("stopping, running pulls may finish", "at most", time.Duration(cfg.Proxy.DrainTimeout))
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(cfg.Proxy.DrainTimeout))
		defer cancel()
		return server.Shutdown(drain)
	})
	return group.Wait()
}

// patience is how much longer than the decision itself the pull waits for it. A
// decision that runs out of time still uses what is cached.
const patience = 500 * time.Millisecond

func policy(n *node.Node) criproxy.PullPolicy {
	p := n.Config.Policy
	return criproxy.PullPolicy{
		Audit:               p.Mode == config.Audit,
		ForwardUnfit:        p.NoFit == config.Forward,
		RefuseRegistryError: p.RegistryError == config.Refuse,
		Timeout:             time.Duration(n.Config.Proxy.SelectTimeout) + patience,
		Exempt:              n.Exemptions(),
	}
}
