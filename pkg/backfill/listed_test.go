package backfill

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
)

// crio serves CRI as CRI-O does: on a socket that takes gRPC with the plain content type only, and
// without any of containerd's services.
func crio(t *testing.T, list func() []*runtimeapi.Image) *cri.Backend {
	t.Helper()
	path := critest.Socket(t)
	critest.StartStrict(t, path, &critest.Runtime{OnImages: func(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
		return &runtimeapi.ListImagesResponse{Images: list()}, nil
	}})
	backend, err := cri.NewBackend("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	return backend
}

// onCRIO is a worker whose runtime is CRI-O, with the registry of w.
func onCRIO(t *testing.T, w *world, log *slog.Logger, list func() []*runtimeapi.Image) *Worker {
	t.Helper()
	conn := crio(t, list)
	return New(Options{Store: OnAnyRuntime(images.New(conn, "k8s.io"), conn), Decider: w, Log: log})
}

// image is one as CRI-O lists it: its id without algorithm, and each repository with each digest.
func image(config string, repositories string, digests ...string) *runtimeapi.Image {
	i := &runtimeapi.Image{Id: of(config).Encoded()}
	for repository := range strings.FieldsSeq(repositories) {
		i.RepoTags = append(i.RepoTags, repository+":1")
		for _, d := range digests {
			i.RepoDigests = append(i.RepoDigests, repository+"@"+of(d).String())
		}
	}
	return i
}

// TestImagesOfCRIOAreLookedUpByWhatItLists: by the digests under which it shows them, of which it tells no index from
// a manifest. What an index says of its manifest must not be lost to the manifest alone.
func TestImagesOfCRIOAreLookedUpByWhatItLists(t *testing.T) {
	t.Parallel()
	for _, digests := range [][]string{{"index", "m2"}, {"m2", "index"}} {
		t.Run(strings.Join(digests, " first, then "), func(t *testing.T) {
			t.Parallel()
			w := &world{known: map[string]string{}, index: map[string][]string{
				"registry.example/app@" + of("index").String(): {"m1", "m2"},
				"registry.example/app@" + of("m2").String():    {"m2"},
				"registry.example/one@" + of("m3").String():    {"m3"},
			}, of: map[string]string{}}
			list := []*runtimeapi.Image{
				image("c2", "registry.example/app", digests...), image("c3", "registry.example/one", "m3"),
				image("c4", ""), {Id: "not an id", RepoDigests: []string{"registry.example/x@" + of("x").String()}},
			}
			log := new(testkit.Log)
			v := onCRIO(t, w, log.Logger(), func() []*runtimeapi.Image { return list })
			v.lookUpAll(t.Context())
			if known, _ := w.state(); len(w.known) != 2 || w.known[of("c2").String()] != "m2" || w.known[of("c3").String()] != "m3" {
				t.Errorf("known %s, asked %q", known, w.asked)
			}
			if got := w.of[of("c2").String()]; got != "registry.example/app@"+of("index").String() {
				t.Errorf("kept as %s has it", got)
			}
			if n := log.Count("looked up an image"); n != 2 {
				t.Errorf("%d images looked up: %s", n, log.String())
			}
			asked := len(w.asked)
			if v.lookUpAll(t.Context()); len(w.asked) != asked {
				t.Errorf("asked again: %q", w.asked[asked:])
			}
		})
	}
}

// TestIndexOfTwoImagesOfCRIO: both came from it, and each is known by its own manifest.
func TestIndexOfTwoImagesOfCRIO(t *testing.T) {
	t.Parallel()
	w := &world{known: map[string]string{}, of: map[string]string{}, index: map[string][]string{
		"registry.example/app@" + of("index").String(): {"m1", "m2"},
	}}
	list := []*runtimeapi.Image{image("c1", "registry.example/app", "m1", "index"), image("c2", "registry.example/app", "index", "m2")}
	onCRIO(t, w, slog.New(slog.DiscardHandler), func() []*runtimeapi.Image { return list }).lookUpAll(t.Context())
	if w.known[of("c1").String()] != "m1" || w.known[of("c2").String()] != "m2" || len(w.known) != 2 {
		t.Errorf("known %v", w.known)
	}
}

// TestRuntimeWithoutEventsIsPolled also for images that come later.
func TestRuntimeWithoutEventsIsPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes atomic.Int32
		ctx, stop := context.WithCancel(t.Context())
		store := &listed{Store: without{}}
		done := make(chan error, 1)
		go func() { done <- store.Follow(ctx, func() { changes.Add(1) }) }()
		time.Sleep(4*pollPause + pollPause/2)
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) || changes.Load() != 5 {
			t.Errorf("%v after %d changes", err, changes.Load())
		}
	})
}

// without has none of containerd's services.
type without struct{ Store }

func (without) Follow(context.Context, func()) error {
	return status.Error(codes.Unimplemented, "unknown service containerd.services.events.v1.Events")
}

func (without) Records(context.Context) ([]images.Record, error) {
	return nil, status.Error(codes.Unimplemented, "unknown service containerd.services.images.v1.Images")
}

// TestListOfARuntimeIsBounded: each image, repository and digest is a record.
func TestListOfARuntimeIsBounded(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range maxAttempts + 5 {
		many = append(many, "m"+string(rune(i)))
	}
	conn := listing{images: []*runtimeapi.Image{image("c", "registry.example/app", many...)}}
	records, err := OnAnyRuntime(without{}, conn).Records(t.Context())
	if err != nil || len(records) != maxAttempts {
		t.Errorf("%d records, %v", len(records), err)
	}
	if slices.ContainsFunc(records, func(r images.Record) bool { return r.Target.Validate() != nil }) {
		t.Error("a record without a target")
	}
}

// listing answers ListImages.
type listing struct {
	grpc.ClientConnInterface
	images []*runtimeapi.Image
}

func (l listing) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	reply.(*runtimeapi.ListImagesResponse).Images = l.images
	return nil
}
