// Command nri-plugin is the admission plugin that the container runtime asks
// before it creates a container: it refuses those whose image does not fit the
// node.
package main

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/node"
)

// version is set at link time with -ldflags "-X main.version=...".
var version string

func main() {
	os.Exit(node.Daemon{
		Name:  "nri-plugin",
		Short: "Refuse containers whose image does not fit this node",
		Long: `nri-plugin connects to the NRI socket of the container runtime and refuses to
create containers whose image does not fit this node, by what cri-proxy found
out about the image and what the node offers at that moment. It never uses the
network, and it comes back after every restart of the runtime.

With policy.mode = "audit" it only logs what it would refuse. SIGHUP makes it
look at the node's facts again.`,
		Version: version, Run: run,
	}.Execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, n *node.Node) error {
	cfg := n.Config()
	runtime, err := criproxy.NewBackend(cfg.Runtime.Endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = runtime.Close() }()
	plugin := admission.New(admission.Options{
		Images: &n.Judge, Rules: n.Rules, Resolve: admission.ResolveBy(runtime), Record: n.Record, Log: n.Log,
	})
	group, ctx := errgroup.WithContext(ctx)
	n.KeepFresh(ctx, group)
	group.Go(func() error {
		return admission.Run(ctx, plugin, admission.Socket{
			Path: cfg.NRI.Socket, PluginName: cfg.NRI.PluginName, PluginIndex: cfg.NRI.PluginIndex,
		}, n.Log)
	})
	return group.Wait()
}
