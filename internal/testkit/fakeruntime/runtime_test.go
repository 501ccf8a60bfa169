package fakeruntime_test

import (
	"testing"
	"testing/synctest"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
	"github.com/imagefit/imagefit/internal/testkit/runtimetest"
)

// subject is the fake to the cases that runtimes have to pass.
type subject struct {
	conn     grpc.ClientConnInterface
	registry *fakeregistry.Registry
}

func (s subject) Conn() grpc.ClientConnInterface { return s.conn }

func (s subject) Push(t testing.TB, repository string, images int) runtimetest.Pushed {
	t.Helper()
	r := s.registry.In(repository)
	pushed := runtimetest.Pushed{Repository: "registry.example/" + repository}
	for i := range images {
		name := repository + string(rune('a'+i))
		pushed.Manifests = append(pushed.Manifests, r.Image("linux/amd64", name))
		pushed.IDs = append(pushed.IDs, fakeregistry.ImageID("linux/amd64", name))
	}
	pushed.Index = r.Index("1", append([]ocispec.Descriptor{}, pushed.Manifests...)...)
	r.Image("linux/amd64", repository+"-single", "single")
	pushed.SingleID = fakeregistry.ImageID("linux/amd64", repository+"-single")
	return pushed
}

func newSubject(t *testing.T) (*fakeruntime.Runtime, *fakeregistry.Registry) {
	t.Helper()
	registry := fakeregistry.New(t, fakeregistry.Options{})
	return fakeruntime.New(registry), registry
}

func TestFakeRuntimeDoesWhatContainerdDoes(t *testing.T) {
	t.Parallel()
	t.Run("within the process", func(t *testing.T) {
		t.Parallel()
		runtimetest.Conformance(t, func(t *testing.T) runtimetest.Runtime {
			runtime, registry := newSubject(t)
			return subject{runtime.Conn(), registry}
		})
	})
	t.Run("on a socket", func(t *testing.T) {
		t.Parallel()
		runtimetest.Conformance(t, func(t *testing.T) runtimetest.Runtime {
			runtime, registry := newSubject(t)
			return subject{serve(t, runtime), registry}
		})
	})
}

func serve(t *testing.T, runtime *fakeruntime.Runtime) *grpc.ClientConn {
	t.Helper()
	path, server := critest.Socket(t), grpc.NewServer()
	runtime.Register(server)
	critest.Serve(t, path, server)
	return critest.Dial(t, path)
}

func TestFakeRuntimeShowsRecordsOfOthersLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runtime := fakeruntime.New(nil)
		image := runtime.Image("a")
		ctx := metadata.AppendToOutgoingContext(t.Context(), "containerd-namespace", "k8s.io")
		_, err := imagesapi.NewImagesClient(runtime.Conn()).Create(ctx, &imagesapi.CreateImageRequest{
			Image: &imagesapi.Image{Name: "x", Target: &types.Descriptor{Digest: image.Digest.String()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		shown := func() bool {
			answer, err := runtimeapi.NewImageServiceClient(runtime.Conn()).ImageStatus(t.Context(),
				&runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: "x"}})
			return err == nil && answer.GetImage() != nil
		}
		if shown() {
			t.Error("it is shown at once")
		}
		time.Sleep(runtime.Delay)
		if !shown() {
			t.Errorf("it is not shown after %s", runtime.Delay)
		}
	})
}
