// Command nri-plugin is the admission plugin of the container runtime: it refuses
// containers whose image does not fit the node.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/cli"
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
	stderr := logOutput(os.Getenv, os.Stderr)
	os.Exit(daemon.Command{
		Program: cli.NRIPlugin(),
		Version: version, Run: run,
	}.Execute(context.Background(), os.Args[1:], os.Stdout, stderr))
}

func run(ctx context.Context, d *daemon.Daemon) error {
	cfg, evaluator := d.Config(), d.Evaluator(nil)
	socket, err := socketOf(cfg, os.Getenv)
	if err != nil {
		return err
	}
	backend, err := cri.NewSplitBackend(cfg.Runtime.Endpoint, cfg.Runtime.ImageEndpoint)
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	d.KeepOnNode(backend)
	plugin := admission.New(admission.Options{
		Images: evaluator, Resolve: admission.ResolveBy(backend), Record: d.Record, Configured: d.Given, Log: d.Log,
		Stamp: filepath.Join(cfg.StateDir, "nri-plugin.connected"),
	})
	d.Metrics.WatchPlugin(plugin.Sessions)
	d.NRI = func() *health.NRIStatus { return statusOf(plugin) }
	d.Audit = d.Auditor(backend)
	defer d.Observe(cfg.NRI.HTTPListen, health.Check{Name: "nri", Probe: func(context.Context) error {
		if err := plugin.Ready(); err != nil {
			return fmt.Errorf("%w (runtime %s)", err, socket)
		}
		return nil
	}})()
	group, ctx := errgroup.WithContext(ctx)
	if cfg.NRI.LookUp {
		runtime := d.Runtime(backend)
		reg := d.Registry(runtime)
		defer reg.Close()
		group.Go(func() error { return runtime.Run(ctx) })
		group.Go(func() error { return d.Backfill(backend, evaluator, reg).Run(ctx) })
	}
	d.KeepFresh(ctx, group)
	group.Go(func() error {
		return admission.Run(ctx, plugin, socket, d.Log)
	})
	group.Go(func() error {
		d.Systemd.Watch(ctx, selfTest(plugin, socket))
		return nil
	})
	d.Systemd.Ready("waiting for the runtime " + socket.String())
	context.AfterFunc(ctx, func() { d.Systemd.Stopping("stopping") })
	return group.Wait()
}

// statusOf returns what the status shows of the connection to the runtime.
func statusOf(plugin *admission.Plugin) *health.NRIStatus {
	sessions, lost := plugin.Sessions()
	return &health.NRIStatus{Connected: plugin.Connected(), Sessions: sessions, Disconnects: lost}
}
