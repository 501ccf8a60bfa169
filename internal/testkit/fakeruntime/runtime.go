// Package fakeruntime is as much of containerd as imagefit meets, within a test:
// CRI's image service over containerd's own image, content and event services. It
// passes the cases of package runtimetest.
package fakeruntime

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// Never is a Delay after which nothing is shown.
const Never = time.Duration(1<<63 - 1)

// Runtime is a containerd. Its fields are set before it serves.
type Runtime struct {
	// Registry is what images are pulled from, whatever host a reference names.
	Registry *fakeregistry.Registry
	// Delay is how long it takes until the CRI shows a record that did not come by a
	// pull.
	Delay time.Duration
	// Takes says which manifest a pull by a tag takes; nil is the first of an index.
	Takes func(reference string) digest.Digest
	// OnPull is called before each pull, OnStatus before each ImageStatus, and Before
	// before each call of containerd's own services, such as "create" of a name or
	// "read" of a digest. An error is the answer.
	OnPull, OnStatus func(ctx context.Context, reference string) error
	Before           func(ctx context.Context, method, name string) error
	// Written is called after each record that was created or updated.
	Written func(name string)
	// Events, where set, are all that a subscriber is told; then the stream breaks.
	Events []*types.Envelope

	mu          sync.Mutex
	content     map[digest.Digest][]byte
	labels      map[digest.Digest]map[string]string // of content
	leases      map[string]*leasesapi.Lease
	records     map[string]*imagesapi.Image
	shown       map[string][]view
	writes      []string
	filters     []string
	subscribers map[chan *types.Envelope][]string // with their filters
}

// view is what the CRI shows of a record from some time on, until the next; no
// manifest is none.
type view struct {
	from     time.Time
	manifest digest.Digest
}

// New returns a runtime that pulls from a registry. It may be nil where nothing is
// pulled.
func New(registry *fakeregistry.Registry) *Runtime {
	return &Runtime{
		Registry: registry, Delay: 20 * time.Millisecond, content: map[digest.Digest][]byte{}, labels: map[digest.Digest]map[string]string{},
		leases: map[string]*leasesapi.Lease{}, records: map[string]*imagesapi.Image{}, shown: map[string][]view{},
		subscribers: map[chan *types.Envelope][]string{},
	}
}

// Register makes a server serve the runtime.
func (r *Runtime) Register(s grpc.ServiceRegistrar) {
	runtimeapi.RegisterImageServiceServer(s, imageService{r: r})
	imagesapi.RegisterImagesServer(s, imageStore{r: r})
	contentapi.RegisterContentServer(s, contentStore{r: r})
	leasesapi.RegisterLeasesServer(s, leaseService{r: r})
	eventsapi.RegisterEventsServer(s, eventService{r: r})
}

// Put stores content; nil removes it.
func (r *Runtime) Put(d digest.Digest, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content[d] = body
}

// Holds reports whether content is in the store.
func (r *Runtime) Holds(d digest.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.content[d] != nil
}

// Labels are those of content.
func (r *Runtime) Labels(d digest.Digest) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.labels[d]
}

// Leases are the labels of the leases that there are.
func (r *Runtime) Leases() (labels []map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lease := range r.leases {
		labels = append(labels, lease.GetLabels())
	}
	return labels
}

// Image stores a manifest whose config has the digest of the name, and returns it.
func (r *Runtime) Image(name string) ocispec.Descriptor {
	body, _ := json.Marshal(ocispec.Manifest{Config: ocispec.Descriptor{Digest: digest.FromString(name)}})
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body))}
	r.Put(desc.Digest, body)
	return desc
}

// Record returns the record of a name, or nil.
func (r *Runtime) Record(name string) *imagesapi.Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records[name]
}

// Write makes or changes a record as another client does, of which Writes tells
// nothing.
func (r *Runtime) Write(image *imagesapi.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(image, r.manifestOf(digest.Digest(image.GetTarget().GetDigest())), r.Delay)
}

// RemoveRecord removes a name as a pruner does.
func (r *Runtime) RemoveRecord(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(name, 0)
}

// Hide makes the CRI show nothing under a name until it is written again.
func (r *Runtime) Hide(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.shown, name)
}

// Writes returns the records that clients of containerd wrote, as "create NAME" or
// "update NAME".
func (r *Runtime) Writes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.writes)
}

// Filters are those of the last subscription.
func (r *Runtime) Filters() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.filters
}

// write stores a record that the CRI shows as this manifest after some time.
func (r *Runtime) write(image *imagesapi.Image, manifest digest.Digest, delay time.Duration) {
	_, isUpdate := r.records[image.GetName()]
	r.records[image.GetName()] = image
	r.show(image.GetName(), manifest, delay)
	r.tell(image, isUpdate)
}

func (r *Runtime) remove(name string, delay time.Duration) {
	delete(r.records, name)
	r.show(name, "", delay)
}

func (r *Runtime) show(name string, manifest digest.Digest, delay time.Duration) {
	if delay != Never {
		r.shown[name] = append(r.shown[name], view{time.Now().Add(delay), manifest})
	}
}

// visible returns the manifests that the CRI shows at this moment, by name.
func (r *Runtime) visible() map[string]digest.Digest {
	names := map[string]digest.Digest{}
	for name, views := range r.shown {
		for _, v := range views {
			if !time.Now().Before(v.from) {
				names[name] = v.manifest
			}
		}
	}
	maps.DeleteFunc(names, func(_ string, manifest digest.Digest) bool { return r.id(manifest) == "" })
	return names
}

// manifestOf is the manifest that the target of a record leads to.
func (r *Runtime) manifestOf(target digest.Digest) digest.Digest {
	var index ocispec.Index
	if json.Unmarshal(r.content[target], &index) == nil && len(index.Manifests) > 0 {
		return index.Manifests[0].Digest
	}
	return target
}

// id is what the CRI calls an image: the digest of its config.
func (r *Runtime) id(manifest digest.Digest) string {
	var m ocispec.Manifest
	_ = json.Unmarshal(r.content[manifest], &m)
	return m.Config.Digest.String()
}

// split parts a reference into its name and its tag or digest.
func split(reference string) (name, suffix string, byDigest bool) {
	name, suffix, byDigest = strings.Cut(reference, "@")
	if colon := strings.LastIndexByte(name, ':'); !byDigest && colon > strings.LastIndexByte(name, '/') {
		name, suffix = name[:colon], name[colon+1:]
	}
	return name, suffix, byDigest
}
