package criproxy

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/critest"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cri"
)

// fakeContainerd is a gRPC server with as much of containerd as a pull meets:
// CRI's image service and the image and content services. As in containerd, an
// image record shows in CRI only some time after it was written.
type fakeContainerd struct {
	runtimeapi.UnimplementedImageServiceServer
	contentapi.UnimplementedContentServer
	registry  *pullRegistry
	delay     time.Duration // until CRI shows a record
	never     bool          // records never show
	vanishing string        // the name of a record that is removed as soon as it is made
	closed    error         // what the content store answers to everything

	mu       sync.Mutex
	takes    func(ref string) digest.Digest // what a pull that is not by digest takes
	pullHook func(ctx context.Context, ref string) error
	pulled   []string // raw PullImage requests
	content  map[digest.Digest][]byte
	records  map[string]*imagesapi.Image
	shown    map[string][]view
	writes   []string // "create NAME", "update NAME"
}

// view is what CRI shows of a record from some time on, until the next.
type view struct {
	from   time.Time
	target string
}

func startContainerd(t testing.TB, path string, registry *pullRegistry) *fakeContainerd {
	t.Helper()
	f := &fakeContainerd{
		registry: registry, delay: 20 * time.Millisecond, content: map[digest.Digest][]byte{},
		records: map[string]*imagesapi.Image{}, shown: map[string][]view{},
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(recordingCodec{cri.Codec(), f}))
	runtimeapi.RegisterImageServiceServer(server, f)
	contentapi.RegisterContentServer(server, f)
	imagesapi.RegisterImagesServer(server, fakeImages{f: f})
	critest.Serve(t, path, server)
	return f
}

// recordingCodec keeps PullImage requests as they came from the wire.
type recordingCodec struct {
	encoding.CodecV2
	f *fakeContainerd
}

func (c recordingCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(*runtimeapi.PullImageRequest); ok {
		c.f.mu.Lock()
		c.f.pulled = append(c.f.pulled, string(data.Materialize()))
		c.f.mu.Unlock()
	}
	return c.CodecV2.Unmarshal(data, v)
}

// requests returns the raw PullImage requests so far.
func (f *fakeContainerd) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.pulled...)
}

func (f *fakeContainerd) record(name string) *imagesapi.Image {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[name]
}

func (f *fakeContainerd) written() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.writes, ", ")
}

func (f *fakeContainerd) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	ref := r.GetImage().GetImage()
	f.mu.Lock()
	hook := f.pullHook
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, ref); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var manifest digest.Digest
	if _, after, byDigest := strings.Cut(ref, "@"); byDigest {
		manifest = digest.Digest(after)
	} else {
		manifest = f.takes(ref)
		f.records[ref] = &imagesapi.Image{Name: ref}
	}
	f.content[manifest] = f.registry.manifest(manifest)
	id := configOf(f.content[manifest])
	if id == "" {
		return nil, status.Errorf(codes.NotFound, "%s: not found", ref)
	}
	return &runtimeapi.PullImageResponse{ImageRef: id}, nil
}

func configOf(manifest []byte) string {
	var m ocispec.Manifest
	_ = json.Unmarshal(manifest, &m)
	return m.Config.Digest.String()
}

func (f *fakeContainerd) ImageStatus(_ context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := &runtimeapi.ImageStatusResponse{}
	for _, v := range f.shown[r.GetImage().GetImage()] {
		if !f.never && time.Now().After(v.from) {
			resp.Image = &runtimeapi.Image{Id: configOf(f.content[digest.Digest(v.target)])}
		}
	}
	return resp, nil
}

func (f *fakeContainerd) Read(r *contentapi.ReadContentRequest, s contentapi.Content_ReadServer) error {
	if f.closed != nil {
		return f.closed
	}
	if err := inNamespace(s.Context()); err != nil {
		return err
	}
	f.mu.Lock()
	body, ok := f.content[digest.Digest(r.Digest)]
	f.mu.Unlock()
	if !ok {
		return status.Errorf(codes.NotFound, "content %s: not found", r.Digest)
	}
	for len(body) > 0 { // in pieces, as containerd does
		n := min(len(body), max(16, len(body)/4))
		if err := s.Send(&contentapi.ReadContentResponse{Data: body[:n]}); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// fakeImages is containerd's image service; it is apart because CRI has methods
// of the same names.
type fakeImages struct {
	imagesapi.UnimplementedImagesServer
	f *fakeContainerd
}

func (s fakeImages) Create(ctx context.Context, r *imagesapi.CreateImageRequest) (*imagesapi.CreateImageResponse, error) {
	if err := inNamespace(ctx); err != nil {
		return nil, err
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	name := r.GetImage().GetName()
	if s.f.records[name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "image %q: already exists", name)
	}
	if s.f.vanishing != name {
		s.put("create", r.GetImage())
	}
	return &imagesapi.CreateImageResponse{Image: r.GetImage()}, nil
}

// Update takes over only what the mask names.
func (s fakeImages) Update(ctx context.Context, r *imagesapi.UpdateImageRequest) (*imagesapi.UpdateImageResponse, error) {
	if err := inNamespace(ctx); err != nil {
		return nil, err
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	image := s.f.records[r.GetImage().GetName()]
	if image == nil {
		return nil, status.Error(codes.NotFound, "not found")
	}
	updated := &imagesapi.Image{Name: image.Name, Target: image.Target, Labels: map[string]string{}}
	for key, value := range image.Labels {
		updated.Labels[key] = value
	}
	for _, path := range r.GetUpdateMask().GetPaths() {
		if label, ok := strings.CutPrefix(path, "labels."); ok {
			updated.Labels[label] = r.GetImage().GetLabels()[label]
		} else if path == "target" {
			updated.Target = r.GetImage().GetTarget()
		}
	}
	s.put("update", updated)
	return &imagesapi.UpdateImageResponse{Image: updated}, nil
}

func (s fakeImages) put(how string, image *imagesapi.Image) {
	s.f.records[image.Name] = image
	s.f.shown[image.Name] = append(s.f.shown[image.Name], view{time.Now().Add(s.f.delay), image.GetTarget().GetDigest()})
	s.f.writes = append(s.f.writes, how+" "+image.Name)
}

func (s fakeImages) Get(ctx context.Context, r *imagesapi.GetImageRequest) (*imagesapi.GetImageResponse, error) {
	if err := inNamespace(ctx); err != nil {
		return nil, err
	}
	if image := s.f.record(r.Name); image != nil {
		return &imagesapi.GetImageResponse{Image: image}, nil
	}
	return nil, status.Errorf(codes.NotFound, "image %s: not found", r.Name)
}

func (f *fakeContainerd) Info(ctx context.Context, r *contentapi.InfoRequest) (*contentapi.InfoResponse, error) {
	if err := inNamespace(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content[digest.Digest(r.Digest)] == nil {
		return nil, status.Errorf(codes.NotFound, "content %s: not found", r.Digest)
	}
	return &contentapi.InfoResponse{Info: &contentapi.Info{Digest: r.Digest}}, nil
}

func inNamespace(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md["containerd-namespace"]; len(got) != 1 || got[0] != "k8s.io" {
		return status.Errorf(codes.FailedPrecondition, "namespace is required, not %q", got)
	}
	return nil
}
