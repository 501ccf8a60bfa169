package daemon

import (
	"github.com/distribution/reference"
	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/pkg/backfill"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Backfill returns the worker that looks up images that the runtime behind conn pulled
// without cri-proxy.
func (d *Daemon) Backfill(conn grpc.ClientConnInterface, evaluator *decision.Evaluator, reg *registry.Registry) *backfill.Worker {
	cfg := d.Config()
	return backfill.New(backfill.Options{
		Store:   images.New(conn, cfg.Runtime.Namespace),
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
