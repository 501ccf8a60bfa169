package integration

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/internal/testkit/registrytest"
	"github.com/imagefit/imagefit/internal/testkit/runtimetest"
)

// What the fakes of the unit tests are held to is run here on the real things.

func TestContainerdDoesWhatTheFakeRuntimeDoes(t *testing.T) {
	for _, version := range stack.Versions() {
		t.Run(version, func(t *testing.T) {
			if testing.Short() && version != stack.Versions()[0] {
				t.Skip("-short: one version of containerd only")
			}
			runtimetest.Conformance(t, func(t *testing.T) runtimetest.Runtime {
				return realRuntime{startContainerd(t, stack.Options{Version: version}), startRegistry(t)}
			})
		})
	}
}

// realRuntime is containerd with a registry beside it.
type realRuntime struct {
	containerd *stack.Containerd
	registry   *stack.Registry
}

func (r realRuntime) Conn() grpc.ClientConnInterface { return r.containerd.CRI.Conn() }

func (r realRuntime) Push(t testing.TB, repository string, images int) runtimetest.Pushed {
	t.Helper()
	repo := r.registry.Repo(repository)
	all := make([]stack.Image, images)
	for i := range all {
		all[i] = stack.Image{Variant: repository + string(rune('a'+i)), User: "1000"}
	}
	index, manifests, err := repo.PushIndex(t.Context(), "1", all...)
	if err != nil {
		t.Fatal(err)
	}
	pushed := runtimetest.Pushed{Repository: r.registry.Host + "/" + repository, Index: index, Manifests: manifests}
	single, err := repo.PushImage(t.Context(), "single", stack.Image{Variant: repository + "-single"})
	if err != nil {
		t.Fatal(err)
	}
	for _, manifest := range append(manifests[:images:images], single) {
		id, err := repo.Config(t.Context(), manifest)
		if err != nil {
			t.Fatal(err)
		}
		pushed.IDs = append(pushed.IDs, id.String())
	}
	pushed.IDs, pushed.SingleID = pushed.IDs[:images], pushed.IDs[images]
	return pushed
}

func TestRegistriesDoWhatTheFakeRegistryDoes(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		registrytest.Conformance(t, registrytest.Options{}, func(t *testing.T) registrytest.Registry {
			return realRegistry{startRegistry(t)}
		})
	})
	t.Run("distribution", func(t *testing.T) {
		requireStack(t)
		registrytest.Conformance(t, registrytest.Options{NoReferrersAPI: true}, func(t *testing.T) registrytest.Registry {
			return realRegistry{started(t)(stack.StartDistribution(t.Context()))}
		})
	})
}

func TestRegistriesAskForCredentialsAsTheFakeRegistryDoes(t *testing.T) {
	login := registrytest.Login{User: "author", Password: "secret"}
	users := map[string]stack.User{login.User: {Password: login.Password}}
	for name, start := range map[string]func(t *testing.T) *stack.Registry{
		"basic": func(t *testing.T) *stack.Registry {
			registry := startRegistry(t)
			registry.RequireBasic(users)
			return registry
		},
		"token": func(t *testing.T) *stack.Registry {
			registry := startRegistry(t)
			registry.RequireToken(users)
			return registry
		},
		"distribution": func(t *testing.T) *stack.Registry {
			requireStack(t)
			registry, has, err := stack.StartPrivateDistribution(t.Context())
			if registrytest.Login(has) != login {
				t.Fatalf("the login is %v", has)
			}
			return started(t)(registry, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			registrytest.AuthConformance(t, login, func(t *testing.T) registrytest.Registry { return realRegistry{start(t)} })
		})
	}
}

// realRegistry is a registry of the stack.
type realRegistry struct{ registry *stack.Registry }

func (r realRegistry) URL() string { return "http://" + r.registry.Host }

func (r realRegistry) Repository() string { return "team/app" }

func (r realRegistry) PutBlob(t testing.TB, body []byte) {
	t.Helper()
	if _, err := r.registry.Repo(r.Repository()).PushBlob(t.Context(), "application/octet-stream", body); err != nil {
		t.Fatal(err)
	}
}

func (r realRegistry) PutManifest(t testing.TB, tag, mediaType string, body []byte) {
	t.Helper()
	if _, err := r.registry.Repo(r.Repository()).PushManifest(t.Context(), tag, mediaType, body); err != nil {
		t.Fatal(err)
	}
}
