package registry

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// AuthFromFile returns the credentials for a repository's registry out of a file
// as docker writes it, or nil. It runs no credential helpers. The path "" means
// anonymous access.
func AuthFromFile(path string, repository reference.Named) (*Auth, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // anonymous is not an error
	}
	store, err := credentials.NewFileStore(path)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	found, err := store.Get(context.Background(), credentials.ServerAddressFromRegistry(reference.Domain(repository)))
	if err != nil {
		return nil, fmt.Errorf("read the credentials for %s: %w", reference.Domain(repository), err)
	}
	if found.Username == "" && found.RefreshToken == "" {
		return nil, nil //nolint:nilnil // anonymous is not an error
	}
	return &Auth{Username: found.Username, Password: found.Password, IdentityToken: found.RefreshToken}, nil
}
