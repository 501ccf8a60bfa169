// Command nri-plugin is the admission plugin that the container runtime asks
// before it creates a container: it refuses those whose image does not fit the
// node.
package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/daemon"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// version is set at link time with -ldflags "-X main.version=...".
var version string

func main() {
	systemd.LimitResources()
	os.Exit(daemon.Command{
		Name:  "nri-plugin",
		Short: "Refuse containers whose image does not fit this node",
		Long: `nri-plugin connects to the NRI socket of the container runtime and refuses to
create containers whose image does not fit this node, by what cri-proxy found
out about the image and what the node offers at that moment. It never uses the
network while a container waits, and it comes back after every restart of the
runtime. What images need that did not come through cri-proxy it finds out in the
background.

With policy.mode = "audit" it only logs what it would refuse. SIGHUP makes it
look at its configuration and the node's facts again.`,
		Version: version, Run: run,
	}.Execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, n *daemon.Daemon) error {
	cfg := n.Config()
	backend, err := cri.NewBackend(cfg.Runtime.Endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	plugin := admission.New(admission.Options{
		Images: n.Evaluator(nil), Resolve: admission.ResolveBy(backend), Record: n.Record, Log: n.Log,
	})
	defer n.Observe(cfg.NRI.HTTPListen, health.Check{Name: "nri", Probe: func(context.Context) error {
		if plugin.Connected() {
			return nil
		}
		return fmt.Errorf("the runtime has not taken the plugin in at %s", cfg.NRI.Socket)
	}})()
	group, ctx := errgroup.WithContext(ctx)
	if cfg.NRI.LookUp {
		runtime := n.Runtime(backend)
		reg := n.Registry(runtime)
		defer reg.Close()
		group.Go(func() error { return runtime.Run(ctx) })
		group.Go(func() error { return n.Backfill(backend, reg).Run(ctx) })
	}
	n.KeepFresh(ctx, group)
	group.Go(func() error {
		return admission.Run(ctx, plugin, admission.Socket{
			Path: cfg.NRI.Socket, PluginName: cfg.NRI.PluginName, PluginIndex: cfg.NRI.PluginIndex,
		}, n.Log)
	})
	group.Go(func() error {
		n.Systemd.Watch(ctx, alive(plugin, cfg.NRI.Socket))
		return nil
	})
	n.Systemd.Ready("waiting for the runtime at " + cfg.NRI.Socket)
	context.AfterFunc(ctx, func() { n.Systemd.Stopping("stopping") })
	return group.Wait()
}
