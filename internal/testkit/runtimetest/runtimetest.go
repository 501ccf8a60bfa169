// Package runtimetest holds the cases that a container runtime has to pass for
// imagefit to work on it: CRI's image service together with containerd's own image,
// content and event services. They run on the fake runtime of the unit tests and,
// from the integration module, on every containerd that is supported; so the fake
// is never believed where the real one does otherwise.
package runtimetest

import (
	"context"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Namespace is the containerd namespace that CRI's images are in.
const Namespace = "k8s.io"

// patience is how long CRI may take to show a change of an image record.
const patience = 10 * time.Second

// Runtime is a runtime and a registry that it can pull from.
type Runtime interface {
	// Conn reaches all services of the runtime.
	Conn() grpc.ClientConnInterface
	// Push pushes an index of that many images for this machine's platform to
	// REPOSITORY:1, and a single image to REPOSITORY:single. No two images are alike,
	// also not those of other repositories.
	Push(t testing.TB, repository string, images int) Pushed
}

// Pushed is what is in a repository.
type Pushed struct {
	Repository string // HOST/NAME
	Index      ocispec.Descriptor
	Manifests  []ocispec.Descriptor // of the index
	IDs        []string             // config digests, image ids to CRI
	SingleID   string
}

// Name is the tag of the index.
func (p Pushed) Name() string { return p.Repository + ":1" }

// At is the reference of a manifest or index.
func (p Pushed) At(desc ocispec.Descriptor) string { return p.Repository + "@" + desc.Digest.String() }

// Conformance runs all cases, each on a runtime of its own.
func Conformance(t *testing.T, start func(t *testing.T) Runtime) {
	for name, test := range map[string]func(*testing.T, client){
		"a pull by tag takes the first image of an index":           pullByTag,
		"a pull by digest takes that image and makes no tag":        pullByDigest,
		"an image without an index is pulled":                       pullSingle,
		"a pull of what the registry does not have is NotFound":     pullMissing,
		"the status of an image that is not there is empty":         statusMissing,
		"removing an image that is not there is no error":           removeMissing,
		"removing an image by one name removes all names":           remove,
		"CRI shows a record that was made":                          recordMade,
		"CRI shows where a record was moved to":                     recordMoved,
		"CRI forgets a record that was removed":                     recordRemoved,
		"a record is created once":                                  recordTwice,
		"an update changes what its mask names":                     recordMask,
		"a record that is not there is NotFound":                    recordMissing,
		"content is read whole, and NotFound where it is not there": content,
		"content is written under a lease":                          contentWritten,
		"calls without a namespace are refused":                     namespaced,
		"records that are made and moved are told":                  events,
	} {
		t.Run(name, func(t *testing.T) {
			runtime := start(t)
			conn := runtime.Conn()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			test(t, client{
				Runtime: runtime, ctx: ctx, scoped: metadata.AppendToOutgoingContext(ctx, "containerd-namespace", Namespace),
				cri: runtimeapi.NewImageServiceClient(conn), images: imagesapi.NewImagesClient(conn),
				content: contentapi.NewContentClient(conn), events: eventsapi.NewEventsClient(conn),
				leases: leasesapi.NewLeasesClient(conn),
			})
		})
	}
}

// client is a runtime and clients of its services.
type client struct {
	Runtime

	ctx, scoped context.Context // scoped names the namespace, which containerd's own services want
	cri         runtimeapi.ImageServiceClient
	images      imagesapi.ImagesClient
	content     contentapi.ContentClient
	events      eventsapi.EventsClient
	leases      leasesapi.LeasesClient
}

func (c client) pull(t *testing.T, ref string) string {
	t.Helper()
	answer, err := c.cri.PullImage(c.ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
	return answer.GetImageRef()
}

// status is what CRI knows of a reference, nil for nothing.
func (c client) status(t *testing.T, ref string) *runtimeapi.Image {
	t.Helper()
	answer, err := c.cri.ImageStatus(c.ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		t.Fatalf("status of %s: %v", ref, err)
	}
	return answer.GetImage()
}

func (c client) wantID(t *testing.T, ref, id string) {
	t.Helper()
	if got := c.status(t, ref).GetId(); got != id {
		t.Errorf("status of %s has the id %q, want %q", ref, got, id)
	}
}

// await waits until CRI shows the id under a reference; "" is nothing.
func (c client) await(t *testing.T, ref, id string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := c.status(t, ref).GetId()
		if got == id {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("CRI shows %s as %q after %s, want %q", ref, got, patience, id)
		}
		time.Sleep(time.Millisecond)
	}
}

// record is an image record as cri-proxy makes it.
func record(name string, manifest ocispec.Descriptor) *imagesapi.Image {
	return &imagesapi.Image{
		Name:   name,
		Target: &types.Descriptor{MediaType: manifest.MediaType, Digest: manifest.Digest.String(), Size: manifest.Size},
		Labels: map[string]string{"io.cri-containerd.image": "managed", "example.org/first": "1"},
	}
}

// create makes a record, or the test ends.
func (c client) create(t *testing.T, name string, manifest ocispec.Descriptor) {
	t.Helper()
	if _, err := c.images.Create(c.scoped, &imagesapi.CreateImageRequest{Image: record(name, manifest)}); err != nil {
		t.Fatalf("create record %s: %v", name, err)
	}
}

// get is the record of a name.
func (c client) get(t *testing.T, name string) *imagesapi.Image {
	t.Helper()
	answer, err := c.images.Get(c.scoped, &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		t.Fatalf("record %s: %v", name, err)
	}
	return answer.GetImage()
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: code %s (%v), want %s", what, got, err, want)
	}
}

// missing is the digest of content that does not exist.
func missing() digest.Digest { return digest.FromString("not in any registry") }
