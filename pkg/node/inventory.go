package node

import (
	"github.com/distribution/reference"

	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/pkg/backfill"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Inventory returns what looks up the images of the runtime behind conn that did
// not come through cri-proxy.
func (n *Node) Inventory(conn grpc.ClientConnInterface, reg *registry.Registry) *backfill.Inventory {
	cfg := n.Config()
	return backfill.New(backfill.Options{
		Store:   images.New(conn, cfg.Runtime.Namespace),
		Decider: decision.NewResolver(n.Evaluator(nil), reg),
		Auth: func(repository reference.Named) *registry.Auth {
			auth, err := registry.AuthFromFile(cfg.NRI.Credentials, repository)
			if err != nil {
				n.Log.Warn("registry credentials cannot be read, going on without", "file", cfg.NRI.Credentials, "error", err)
			}
			return auth
		},
		Log: n.Log,
	})
}
