package admission

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/nri/pkg/api"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
	"github.com/imagefit/imagefit/pkg/decisionlog"
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

// TestSynchronizeWaitsForNoRecord, of which there may be one for each container: the
// runtime creates none until it returns.
func TestSynchronizeWaitsForNoRecord(t *testing.T) {
	t.Parallel()
	log := new(testkit.Log)
	p := newTestPlugin(newKnownImages(t), policyWith(nil), log.Logger())
	disk := make(chan struct{})
	var recorded atomic.Int32
	p.Record = func(decisionlog.Record) { <-disk; recorded.Add(1) }
	unfit := []*api.Container{container("unfit"), container("unfit")}
	for range maxLooking + 3 { // the runtime drops the plugin again and again
		if _, err := p.Synchronize(t.Context(), nil, unfit); err != nil {
			t.Error(err)
		}
	}
	close(disk)
	p.found.Wait()
	if n := recorded.Load(); n != 2*maxLooking {
		t.Errorf("%d records, want %d", n, 2*maxLooking)
	}
	if n := log.Count("not looking at the running containers"); n != 3 {
		t.Errorf("%d lines for what is not looked at, want 3: %s", n, log.String())
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
	if took := time.Since(start); took > 0 {
		t.Errorf("took %s", took)
	}
	p.found.Wait()
	if took := time.Since(start); took > resolveFoundTimeout {
		t.Errorf("the images were looked up for %s", took)
	}
}

func TestResolveByAsksTheRuntimeOverCRI(t *testing.T) {
	t.Parallel()
	runtime := fakeruntime.New(nil)
	runtime.Delay = 0
	runtime.Write(&imagesapi.Image{Name: appTag, Target: &types.Descriptor{Digest: runtime.Image("unfit").Digest.String()}})
	runtime.OnStatus = func(_ context.Context, name string) error {
		if name == "broken" {
			return errors.New("no store")
		}
		return nil
	}
	for name, want := range map[string]string{
		appTag: imageIDOf("unfit"), "absent": "not found", "broken": "no store",
	} {
		image, err := ResolveBy(runtime.Conn())(t.Context(), name)
		id := image.GetId()
		if id+text(err) != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v, want %s", name, id, err, want)
		}
	}
}
