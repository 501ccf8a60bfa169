package attach

import "oras.land/oras-go/v2/registry/remote"

// Repository returns the repository for copies by oras-go.
func (t *Target) Repository() *remote.Repository { return t.repo }
