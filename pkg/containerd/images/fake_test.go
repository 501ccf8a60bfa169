package images

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fake is containerd as a Store meets it. As there, a record shows in the CRI only some
// time after it was written. It is for one caller at a time.
type fake struct {
	delay   time.Duration // until the CRI shows a record
	records map[string]*imagesapi.Image
	content map[digest.Digest][]byte
	shown   map[string][]view
	writes  []string                  // "create NAME", "update NAME"
	before  func(method, name string) // a call, where set
	written func(name string)         // after a write, where set
	events  []*types.Envelope         // then the stream ends
	filters []string                  // of the last subscription
	err     map[string]error          // by method
}

// view is what the CRI shows of a record from some time on, until the next.
type view struct {
	from   time.Time
	target digest.Digest
}

func newFake() (*fake, *Store) {
	f := &fake{
		delay: 20 * time.Millisecond, records: map[string]*imagesapi.Image{}, content: map[digest.Digest][]byte{},
		shown: map[string][]view{}, err: map[string]error{},
	}
	return f, &Store{images: fakeImages{f: f}, content: fakeContent{f: f}, events: fakeEvents{f: f}, cri: fakeCRI{f: f}, namespace: "k8s.io"}
}

// image stores a manifest of a config with that name.
func (f *fake) image(name string) ocispec.Descriptor {
	body, _ := json.Marshal(ocispec.Manifest{Config: ocispec.Descriptor{Digest: digest.FromString(name)}})
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body))}
	f.content[d.Digest] = body
	return d
}

func (f *fake) write(how string, image *imagesapi.Image) {
	f.records[image.GetName()] = image
	f.shown[image.GetName()] = append(f.shown[image.GetName()],
		view{time.Now().Add(f.delay), digest.Digest(image.GetTarget().GetDigest())})
	f.writes = append(f.writes, how+" "+image.GetName())
	if f.written != nil {
		f.written(image.GetName())
	}
}

// call checks what every call of containerd's own services needs.
func (f *fake) call(ctx context.Context, method, name string) error {
	if md, _ := metadata.FromOutgoingContext(ctx); len(md["containerd-namespace"]) != 1 || md["containerd-namespace"][0] != "k8s.io" {
		return status.Error(codes.FailedPrecondition, "namespace is required")
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if f.before != nil {
		f.before(method, name)
	}
	return f.err[method]
}

type fakeImages struct {
	imagesapi.ImagesClient
	f *fake
}

func (s fakeImages) Get(ctx context.Context, r *imagesapi.GetImageRequest, _ ...grpc.CallOption) (*imagesapi.GetImageResponse, error) {
	if err := s.f.call(ctx, "get", r.GetName()); err != nil {
		return nil, err
	}
	if image := s.f.records[r.GetName()]; image != nil {
		return &imagesapi.GetImageResponse{Image: image}, nil
	}
	return nil, status.Error(codes.NotFound, "not found")
}

func (s fakeImages) List(ctx context.Context, _ *imagesapi.ListImagesRequest, _ ...grpc.CallOption) (*imagesapi.ListImagesResponse, error) {
	if err := s.f.call(ctx, "list", ""); err != nil {
		return nil, err
	}
	resp := &imagesapi.ListImagesResponse{}
	for _, image := range s.f.records {
		resp.Images = append(resp.Images, image)
	}
	return resp, nil
}

func (s fakeImages) Create(ctx context.Context, r *imagesapi.CreateImageRequest, _ ...grpc.CallOption) (*imagesapi.CreateImageResponse, error) {
	if err := s.f.call(ctx, "create", r.GetImage().GetName()); err != nil {
		return nil, err
	}
	if s.f.records[r.GetImage().GetName()] != nil {
		return nil, status.Error(codes.AlreadyExists, "already exists")
	}
	s.f.write("create", r.GetImage())
	return &imagesapi.CreateImageResponse{Image: r.GetImage()}, nil
}

// Update takes over only what the mask names.
func (s fakeImages) Update(ctx context.Context, r *imagesapi.UpdateImageRequest, _ ...grpc.CallOption) (*imagesapi.UpdateImageResponse, error) {
	if err := s.f.call(ctx, "update", r.GetImage().GetName()); err != nil {
		return nil, err
	}
	old := s.f.records[r.GetImage().GetName()]
	if old == nil {
		return nil, status.Error(codes.NotFound, "not found")
	}
	image := &imagesapi.Image{Name: old.GetName(), Target: old.GetTarget(), Labels: maps.Clone(old.GetLabels())}
	for _, path := range r.GetUpdateMask().GetPaths() {
		if label, ok := strings.CutPrefix(path, "labels."); ok {
			if image.Labels == nil {
				image.Labels = map[string]string{}
			}
			image.Labels[label] = r.GetImage().GetLabels()[label]
		} else if path == "target" {
			image.Target = r.GetImage().GetTarget()
		}
	}
	s.f.write("update", image)
	return &imagesapi.UpdateImageResponse{Image: image}, nil
}

type fakeContent struct {
	contentapi.ContentClient
	f *fake
}

func (s fakeContent) Info(ctx context.Context, r *contentapi.InfoRequest, _ ...grpc.CallOption) (*contentapi.InfoResponse, error) {
	if err := s.f.call(ctx, "info", r.GetDigest()); err != nil {
		return nil, err
	}
	if s.f.content[digest.Digest(r.GetDigest())] == nil {
		return nil, status.Error(codes.NotFound, "not found")
	}
	return &contentapi.InfoResponse{}, nil
}

func (s fakeContent) Read(ctx context.Context, r *contentapi.ReadContentRequest, _ ...grpc.CallOption) (contentapi.Content_ReadClient, error) {
	if err := s.f.call(ctx, "read", r.GetDigest()); err != nil {
		return nil, err
	}
	body, ok := s.f.content[digest.Digest(r.GetDigest())]
	if !ok { // containerd says so in the stream
		return &stream[contentapi.ReadContentResponse]{err: status.Error(codes.NotFound, "not found")}, nil
	}
	parts := &stream[contentapi.ReadContentResponse]{err: io.EOF}
	for len(body) > 0 {
		n := min(len(body), max(16, len(body)/4))
		parts.all = append(parts.all, &contentapi.ReadContentResponse{Data: body[:n]})
		body = body[n:]
	}
	return parts, nil
}

type fakeEvents struct {
	eventsapi.EventsClient
	f *fake
}

func (s fakeEvents) Subscribe(ctx context.Context, r *eventsapi.SubscribeRequest, _ ...grpc.CallOption) (eventsapi.Events_SubscribeClient, error) {
	if err := s.f.call(ctx, "subscribe", ""); err != nil {
		return nil, err
	}
	s.f.filters = r.GetFilters()
	return &stream[types.Envelope]{all: s.f.events, err: status.Error(codes.Unavailable, "the runtime stops")}, nil
}

// stream answers with all, and then with err.
type stream[T any] struct {
	grpc.ClientStream
	all []*T
	err error
}

func (s *stream[T]) Recv() (*T, error) {
	if len(s.all) == 0 {
		return nil, s.err
	}
	next := s.all[0]
	s.all = s.all[1:]
	return next, nil
}

type fakeCRI struct {
	runtimeapi.ImageServiceClient
	f *fake
}

func (s fakeCRI) ImageStatus(_ context.Context, r *runtimeapi.ImageStatusRequest, _ ...grpc.CallOption) (*runtimeapi.ImageStatusResponse, error) {
	resp := &runtimeapi.ImageStatusResponse{}
	for _, v := range s.f.shown[r.GetImage().GetImage()] {
		if !time.Now().Before(v.from) {
			var m ocispec.Manifest
			_ = json.Unmarshal(s.f.content[v.target], &m)
			resp.Image = &runtimeapi.Image{Id: m.Config.Digest.String()}
		}
	}
	return resp, nil
}
