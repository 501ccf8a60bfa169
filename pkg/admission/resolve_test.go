package admission

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/nri/pkg/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
)

// TestImageIsLookedUpByName where the runtime does not identify it.
func TestImageIsLookedUpByName(t *testing.T) {
	t.Parallel()
	named := func(name string) *api.Container { return container("", imageName, name) }
	knows := func(_ context.Context, name string) (*runtimeapi.Image, error) {
		if id, ok := strings.CutPrefix(name, "registry.example/app:"); ok {
			return &runtimeapi.Image{Id: imageIDOf(id), RepoTags: []string{name}}, nil
		}
		return nil, errors.New("no such image")
	}
	copied := func(ctx context.Context, name string) (*runtimeapi.Image, error) {
		image, err := knows(ctx, name)
		image.RepoDigests = []string{"copy.example/app@" + imageIDOf("index")}
		return image, err
	}
	tests := []struct {
		name      string
		resolve   Resolve
		container *api.Container
		want, log string
	}{
		{"by name", knows, named("registry.example/app:unfit"), strings.Replace(unfit, appTag, "registry.example/app:unfit", 1), "action=refused"},
		{"nothing is known of a copy", copied, named("registry.example/app:unfit"), "", ""},
		{"it fits", knows, named("registry.example/app:fits"), "", ""},
		{"the runtime does not know", knows, named("other"), "", "admitting container without a check"},
		{"no runtime", nil, named("registry.example/app:unfit"), "", "does not identify the image"},
		{"no name", knows, container(""), "", "does not identify the image"},
		{"an id has precedence over a name", knows, container("fits", imageName, "registry.example/app:unfit"), "", ""},
		{"CRI-O's annotation too", knows, container("", crioImageRef, imageIDOf("fits"), imageName, "registry.example/app:unfit"), "", ""},
		{"the runtime hangs", func(ctx context.Context, _ string) (*runtimeapi.Image, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, named("registry.example/app:unfit"), "", "admitting container without a check"},
	}
	images := newKnownImages(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := new(testkit.Log)
				p := newTestPlugin(images, policyWith(nil), log.Logger())
				p.Resolve = test.resolve
				start := time.Now()
				_, _, err := p.CreateContainer(t.Context(), pod("default", "api"), test.container)
				if got := text(err); got != test.want {
					t.Errorf("CreateContainer\ngot  %s\nwant %s", got, test.want)
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("the hook took %s: the runtime would soon drop the plugin", took)
				}
				if n := log.Count(test.log); test.log != "" && n != 1 {
					t.Errorf("%d lines %q, want 1: %s", n, test.log, log.String())
				}
			})
		})
	}
}

// TestSynchronizeIsBoundedForAllContainersTogether: the runtime creates none until
// it returns.
func TestSynchronizeIsBoundedForAllContainersTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, synchronizeHangs)
}

func synchronizeHangs(t *testing.T) {
	p := newTestPlugin(newKnownImages(t), policyWith(nil), new(testkit.Log).Logger())
	p.Resolve = func(ctx context.Context, _ string) (*runtimeapi.Image, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	start := time.Now()
	many := make([]*api.Container, 20)
	for i := range many {
		many[i] = container("", imageName, "registry.example/app:unfit")
	}
	if _, err := p.Synchronize(t.Context(), nil, many); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %s", took)
	}
}

// images is a runtime that has one image.
type images struct {
	runtimeapi.UnimplementedImageServiceServer
}

func (images) ImageStatus(_ context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	switch req.GetImage().GetImage() {
	case appTag:
		return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{Id: imageIDOf("unfit")}}, nil
	case "broken":
		return nil, errors.New("no store")
	}
	return &runtimeapi.ImageStatusResponse{}, nil
}

func TestResolveByAsksTheRuntimeOverCRI(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "cri.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterImageServiceServer(server, images{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-served
	})
	for name, want := range map[string]string{
		appTag: imageIDOf("unfit"), "absent": "not found", "broken": "no store",
	} {
		image, err := ResolveBy(conn)(t.Context(), name)
		id := image.GetId()
		if id+text(err) != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v, want %s", name, id, err, want)
		}
	}
}
