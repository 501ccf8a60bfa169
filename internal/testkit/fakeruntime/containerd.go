package fakeruntime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	eventtypes "github.com/containerd/containerd/api/events"
	contentapi "github.com/containerd/containerd/api/services/content/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

const namespace = "k8s.io"

// begin is the start of every call of containerd's own services.
func (r *Runtime) begin(ctx context.Context, method, name string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md["containerd-namespace"]; len(got) != 1 || got[0] != namespace {
		return status.Errorf(codes.FailedPrecondition, "namespace is required, not %q", got)
	}
	if r.Before != nil {
		return r.Before(ctx, method, name)
	}
	return nil
}

func notFound(what, name string) error {
	return status.Errorf(codes.NotFound, "%s %q: not found", what, name)
}

// imageStore is containerd's image service.
type imageStore struct {
	imagesapi.UnimplementedImagesServer
	r *Runtime
}

func (s imageStore) Get(ctx context.Context, req *imagesapi.GetImageRequest) (*imagesapi.GetImageResponse, error) {
	if err := s.r.begin(ctx, "get", req.GetName()); err != nil {
		return nil, err
	}
	image := s.r.Record(req.GetName())
	if image == nil {
		return nil, notFound("image", req.GetName())
	}
	return &imagesapi.GetImageResponse{Image: image}, nil
}

func (s imageStore) List(ctx context.Context, _ *imagesapi.ListImagesRequest) (*imagesapi.ListImagesResponse, error) {
	if err := s.r.begin(ctx, "list", ""); err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return &imagesapi.ListImagesResponse{Images: slices.Collect(maps.Values(s.r.records))}, nil
}

func (s imageStore) Create(ctx context.Context, req *imagesapi.CreateImageRequest) (*imagesapi.CreateImageResponse, error) {
	image := req.GetImage()
	if err := s.r.begin(ctx, "create", image.GetName()); err != nil {
		return nil, err
	}
	if s.r.Record(image.GetName()) != nil {
		return nil, status.Errorf(codes.AlreadyExists, "image %q: already exists", image.GetName())
	}
	s.put("create", proto.CloneOf(image))
	return &imagesapi.CreateImageResponse{Image: image}, nil
}

// Update takes over only what the mask names.
func (s imageStore) Update(ctx context.Context, req *imagesapi.UpdateImageRequest) (*imagesapi.UpdateImageResponse, error) {
	if err := s.r.begin(ctx, "update", req.GetImage().GetName()); err != nil {
		return nil, err
	}
	if req.GetImage().GetTarget() == nil { // the real one panics
		return nil, status.Error(codes.Internal, "an update without a target")
	}
	image := proto.CloneOf(s.r.Record(req.GetImage().GetName()))
	if image == nil {
		return nil, notFound("image", req.GetImage().GetName())
	}
	for _, path := range req.GetUpdateMask().GetPaths() {
		if label, ok := strings.CutPrefix(path, "labels."); ok {
			if image.Labels == nil {
				image.Labels = map[string]string{}
			}
			image.Labels[label] = req.GetImage().GetLabels()[label]
			if image.Labels[label] == "" {
				delete(image.Labels, label)
			}
		} else if path == "target" {
			image.Target = req.GetImage().GetTarget()
		}
	}
	s.put("update", image)
	return &imagesapi.UpdateImageResponse{Image: image}, nil
}

func (s imageStore) put(how string, image *imagesapi.Image) {
	s.r.mu.Lock()
	s.r.write(image, s.r.manifestOf(digest.Digest(image.GetTarget().GetDigest())), s.r.Delay)
	s.r.writes = append(s.r.writes, how+" "+image.GetName())
	s.r.mu.Unlock()
	if s.r.Written != nil {
		s.r.Written(image.GetName())
	}
}

func (s imageStore) Delete(ctx context.Context, req *imagesapi.DeleteImageRequest) (*emptypb.Empty, error) {
	if err := s.r.begin(ctx, "delete", req.GetName()); err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	image, target := s.r.records[req.GetName()], req.GetTarget().GetDigest()
	if image == nil || target != "" && target != image.GetTarget().GetDigest() {
		return nil, notFound("image", req.GetName())
	}
	s.r.remove(req.GetName(), s.r.Delay)
	return &emptypb.Empty{}, nil
}

// contentStore is containerd's content service.
type contentStore struct {
	contentapi.UnimplementedContentServer
	r *Runtime
}

func (s contentStore) get(ctx context.Context, method, name string) ([]byte, error) {
	if err := s.r.begin(ctx, method, name); err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	body := s.r.content[digest.Digest(name)]
	if body == nil {
		return nil, notFound("content", name)
	}
	return body, nil
}

func (s contentStore) Info(ctx context.Context, req *contentapi.InfoRequest) (*contentapi.InfoResponse, error) {
	body, err := s.get(ctx, "info", req.GetDigest())
	if err != nil {
		return nil, err
	}
	return &contentapi.InfoResponse{Info: &contentapi.Info{Digest: req.GetDigest(), Size: int64(len(body))}}, nil
}

// Read answers in pieces, as containerd does.
func (s contentStore) Read(req *contentapi.ReadContentRequest, stream contentapi.Content_ReadServer) error {
	body, err := s.get(stream.Context(), "read", req.GetDigest())
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(body, max(16, len(body)/4)) {
		if err := stream.Send(&contentapi.ReadContentResponse{Data: piece}); err != nil {
			return err
		}
	}
	return nil
}

// Write takes what comes whole in one message. Without a lease it would be garbage at
// once, and so is an error here.
func (s contentStore) Write(stream contentapi.Content_WriteServer) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	name := digest.Digest(req.GetExpected())
	if err := s.r.begin(stream.Context(), "write", name.String()); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	lease := strings.Join(md["containerd-lease"], " ")
	switch {
	case s.r.leases[lease] == nil:
		return status.Errorf(codes.FailedPrecondition, "lease %q: not found", lease)
	case req.GetAction() != contentapi.WriteAction_COMMIT, digest.FromBytes(req.GetData()) != name, req.GetTotal() != int64(len(req.GetData())):
		return status.Errorf(codes.FailedPrecondition, "unexpected commit of %s", name)
	case s.r.content[name] != nil:
		return status.Errorf(codes.AlreadyExists, "content %s: already exists", name)
	}
	s.r.content[name], s.r.labels[name] = req.GetData(), req.GetLabels()
	return stream.Send(&contentapi.WriteContentResponse{Action: req.GetAction(), Digest: name.String()})
}

// Update takes over labels.
func (s contentStore) Update(ctx context.Context, req *contentapi.UpdateRequest) (*contentapi.UpdateResponse, error) {
	name := digest.Digest(req.GetInfo().GetDigest())
	if _, err := s.get(ctx, "label", name.String()); err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	labels := maps.Clone(s.r.labels[name])
	if labels == nil {
		labels = map[string]string{}
	}
	for _, path := range req.GetUpdateMask().GetPaths() {
		if label, ok := strings.CutPrefix(path, "labels."); ok {
			labels[label] = req.GetInfo().GetLabels()[label]
		}
	}
	s.r.labels[name] = labels
	return &contentapi.UpdateResponse{}, nil
}

// leaseService is containerd's lease service.
type leaseService struct {
	leasesapi.UnimplementedLeasesServer
	r *Runtime
}

func (s leaseService) Create(ctx context.Context, req *leasesapi.CreateRequest) (*leasesapi.CreateResponse, error) {
	if err := s.r.begin(ctx, "lease", req.GetID()); err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.leases[req.GetID()] = &leasesapi.Lease{ID: req.GetID(), Labels: req.GetLabels()}
	return &leasesapi.CreateResponse{Lease: s.r.leases[req.GetID()]}, nil
}

func (s leaseService) Delete(ctx context.Context, req *leasesapi.DeleteRequest) (*emptypb.Empty, error) {
	if err := s.r.begin(ctx, "unlease", req.GetID()); err != nil {
		return nil, err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	delete(s.r.leases, req.GetID())
	return &emptypb.Empty{}, nil
}

// eventService is containerd's event service.
type eventService struct {
	eventsapi.UnimplementedEventsServer
	r *Runtime
}

func (s eventService) Subscribe(req *eventsapi.SubscribeRequest, stream eventsapi.Events_SubscribeServer) error {
	ctx := stream.Context()
	if s.r.Before != nil {
		if err := s.r.Before(ctx, "subscribe", ""); err != nil {
			return err
		}
	}
	events := make(chan *types.Envelope, 100)
	s.r.mu.Lock()
	s.r.filters = req.GetFilters()
	s.r.subscribers[events] = req.GetFilters()
	s.r.mu.Unlock()
	defer func() {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		delete(s.r.subscribers, events)
	}()
	for _, event := range s.r.Events {
		if err := stream.Send(event); err != nil {
			return err
		}
	}
	if s.r.Events != nil {
		return status.Error(codes.Unavailable, "the runtime stops")
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-events:
			if err := stream.Send(event); err != nil {
				return err
			}
		}
	}
}

// tell tells subscribers of a record.
func (r *Runtime) tell(image *imagesapi.Image, isUpdate bool) {
	topic, event := "/images/create", proto.Message(&eventtypes.ImageCreate{Name: image.GetName(), Labels: image.GetLabels()})
	if isUpdate {
		topic, event = "/images/update", &eventtypes.ImageUpdate{Name: image.GetName(), Labels: image.GetLabels()}
	}
	body, _ := anypb.New(event)
	for events, filters := range r.subscribers {
		if len(filters) > 0 && !slices.ContainsFunc(filters, func(filter string) bool { return matches(filter, topic) }) {
			continue
		}
		select {
		case events <- &types.Envelope{Namespace: namespace, Topic: topic, Event: body}:
		default: // as containerd, which does not wait for slow ones
		}
	}
}

// matches knows the filters that imagefit uses: equalities of namespace and topic.
func matches(filter, topic string) bool {
	for condition := range strings.SplitSeq(filter, ",") {
		if condition != fmt.Sprintf("topic==%q", topic) && condition != fmt.Sprintf("namespace==%q", namespace) {
			return false
		}
	}
	return true
}
