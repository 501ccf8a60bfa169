package decision

import (
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/registry"
)

func newTestRegistry(t testing.TB) *fakeregistry.Registry {
	t.Helper()
	return fakeregistry.New(t, fakeregistry.Options{})
}

// reach returns a Registry for which registry.example and docker.io are r.
func reach(t testing.TB, r *fakeregistry.Registry) *registry.Registry {
	t.Helper()
	reg := registry.New(registry.Options{HostsPath: r.Hosts("registry.example", "docker.io")})
	t.Cleanup(reg.Close)
	return reg
}
