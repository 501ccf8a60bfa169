package node

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/pkg/backfill"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/imagestore"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Inventory returns what looks up the images of the runtime behind conn that did
// not come through cri-proxy.
func (n *Node) Inventory(conn grpc.ClientConnInterface, reg *registry.Registry) *backfill.Inventory {
	cfg := n.Config()
	return backfill.New(backfill.Options{
		Store:   imagestore.New(conn, cfg.Runtime.Namespace),
		Decider: &decision.Road{Judge: n.Judge, Registry: reg},
		Auth: func(repository reference.Named) *registry.Auth {
			auth, err := credentialsOf(cfg.NRI.Credentials, repository)
			if err != nil {
				n.Log.Warn("registry credentials cannot be read, going on without", "file", cfg.NRI.Credentials, "error", err)
			}
			return auth
		},
		Log: n.Log,
	})
}

// credentialsOf reads the credentials for a repository's registry from a file as
// docker writes it. It runs no helper programs.
func credentialsOf(path string, repository reference.Named) (*registry.Auth, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // anonymous is no error
	}
	store, err := credentials.NewFileStore(path)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return AuthFrom(context.Background(), store, repository)
}

// AuthFrom returns the credentials that a store has for a repository's registry,
// or nil.
func AuthFrom(ctx context.Context, store credentials.Store, repository reference.Named) (*registry.Auth, error) {
	found, err := store.Get(ctx, credentials.ServerAddressFromRegistry(reference.Domain(repository)))
	if err != nil {
		return nil, fmt.Errorf("read the credentials for %s: %w", reference.Domain(repository), err)
	}
	if found.Username == "" && found.RefreshToken == "" {
		return nil, nil //nolint:nilnil // anonymous is no error
	}
	return &registry.Auth{Username: found.Username, Password: found.Password, IdentityToken: found.RefreshToken}, nil
}
