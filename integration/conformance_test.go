package integration

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/imagefit/imagefit/integration/stack"
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
