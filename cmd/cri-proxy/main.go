// Command cri-proxy is a CRI proxy between the kubelet and the container runtime. It
// forwards every call untouched and chooses, at PullImage, the variant of an image that
// fits this node best.
package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/daemon"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/systemd"
	"github.com/imagefit/imagefit/pkg/tracing/otlp"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// version is set at link time with -ldflags "-X main.version=...".
var version string

func main() {
	systemd.LimitResources()
	os.Exit(daemon.Command{
		Program: cli.CRIProxy(),
		Version: version, Run: run,
	}.Execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, d *daemon.Daemon) error {
	cfg, log := d.Config(), d.Log
	runtimeSocket, err := unixsocket.ParseEndpoint(cfg.Runtime.Endpoint)
	if err != nil {
		return fmt.Errorf("key runtime.endpoint: %w", err)
	}
	path, err := unixsocket.ParseEndpoint(cfg.Proxy.Listen)
	if err != nil {
		return fmt.Errorf("key proxy.listen: %w", err)
	}
	backend, err := cri.NewSplitBackend(cfg.Runtime.Endpoint, cfg.Runtime.ImageEndpoint)
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	spans, err := otlp.Open(otlp.Options{
		Endpoint: cfg.Tracing.Endpoint, SampleRatio: cfg.Tracing.SampleRatio,
		Program: d.Program, Version: d.Version, Log: log,
	})
	if err != nil {
		return err
	}
	defer spans.Close()
	d.KeepOnNode(backend)
	runtime := d.Runtime(backend)
	reg := d.Registry(runtime)
	defer reg.Close()
	store := images.New(backend, cfg.Runtime.Namespace)
	named := namesOf(d, backend, store, runtime, reg)
	resolver := decision.NewResolver(d.Evaluator(runtime), reg)
	defer resolver.RefreshInBackground()()
	puller := criproxy.NewPuller(criproxy.PullerOptions{
		Runtime: backend, Images: store, Names: named, Log: log,
		Decider: resolver, Record: d.Record,
		Tracer: spans.Tracer(), Unchanged: d.Unchanged(runtime), FullName: d.FullName(runtime),
	})
	server := criproxy.New(criproxy.Options{Backend: backend, Log: log, Intercept: intercepted(named, puller)})
	socket, err := listen(path, runtimeSocket, log)
	if err != nil {
		return err
	}
	log.Info("listening", "socket", socket.path, "activated", socket.activated, "runtime", runtimeSocket)
	d.Metrics.WatchCalls(server.Served)
	d.Clients = func() []health.ClientStatus { return clientsOf(server) }
	d.Audit = d.Auditor(backend)
	d.Names = func() *health.NamesStatus { return statusOf(named) }
	defer d.Observe(cfg.Proxy.HTTPListen, append(checks(ctx, backend), usedCheck(server, socket.path))...)()

	// What calls need runs until the last one has finished, which is later than the signal.
	term := ctx
	group, ctx := errgroup.WithContext(context.WithoutCancel(ctx))
	ctx, end := context.WithCancel(ctx)
	defer end()
	d.KeepFresh(ctx, group)
	group.Go(func() error { return runtime.Run(ctx) })
	group.Go(func() error { return named.Run(ctx) })
	group.Go(func() error {
		backend.Watch(ctx, log)
		return nil
	})
	serve(ctx, term, end, group, d, server, socket)
	return group.Wait()
}

// intercepted are the calls that are not simply forwarded.
func intercepted(named *criproxy.Names, puller *criproxy.Puller) map[string]criproxy.Handler {
	handlers := named.Handlers()
	handlers[criproxy.PullImage] = puller.Handle
	return handlers
}
