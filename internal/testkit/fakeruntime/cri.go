package fakeruntime

import (
	"context"
	"slices"
	"strings"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// imageService is CRI's image service.
type imageService struct {
	runtimeapi.UnimplementedImageServiceServer
	r *Runtime
}

// PullImage records the name and the digest of what it pulled, as containerd does.
func (s imageService) PullImage(ctx context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	r, reference := s.r, req.GetImage().GetImage()
	if r.OnPull != nil {
		if err := r.OnPull(ctx, reference); err != nil {
			return nil, err
		}
	}
	name, suffix, byDigest := split(reference)
	_, repository, _ := strings.Cut(name, "/")
	from := r.Registry.In(repository)
	r.mu.Lock()
	defer r.mu.Unlock()
	body, mediaType := from.Content(suffix)
	target := digest.FromBytes(body)
	r.content[target] = body
	manifest := r.manifestOf(target)
	if !byDigest && r.Takes != nil {
		manifest = r.Takes(reference)
	}
	r.content[manifest], _ = from.Content(manifest.String())
	id := r.id(manifest)
	if id == "" {
		return nil, status.Errorf(codes.NotFound, "%s: not found", reference)
	}
	r.content[digest.Digest(id)], _ = from.Content(id)
	names := []string{reference, id} // CRI's own record of the image
	if !byDigest {
		names = append(names, name+"@"+target.String())
	}
	for _, name := range names {
		r.write(&imagesapi.Image{
			Name: name, Target: &types.Descriptor{MediaType: mediaType, Digest: target.String(), Size: int64(len(body))},
			Labels: map[string]string{"io.cri-containerd.image": "managed"},
		}, manifest, 0)
	}
	return &runtimeapi.PullImageResponse{ImageRef: id}, nil
}

func (s imageService) ImageStatus(ctx context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	if s.r.OnStatus != nil {
		if err := s.r.OnStatus(ctx, req.GetImage().GetImage()); err != nil {
			return nil, err
		}
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return &runtimeapi.ImageStatusResponse{Image: s.find(req.GetImage().GetImage())}, nil
}

// find returns the image of a name or an id, or nil.
func (s imageService) find(reference string) *runtimeapi.Image {
	for _, image := range s.all() {
		if image.GetId() == reference || slices.Contains(image.GetRepoTags(), reference) || slices.Contains(image.GetRepoDigests(), reference) {
			return image
		}
	}
	return nil
}

func (s imageService) all() (images []*runtimeapi.Image) {
	byID := map[string]*runtimeapi.Image{}
	for name, manifest := range s.r.visible() {
		id := s.r.id(manifest)
		image := byID[id]
		if image == nil {
			image = &runtimeapi.Image{Id: id}
			byID[id], images = image, append(images, image)
		}
		switch {
		case name == id:
		case strings.Contains(name, "@"):
			image.RepoDigests = append(image.RepoDigests, name)
		default:
			image.RepoTags = append(image.RepoTags, name)
		}
	}
	return images
}

func (s imageService) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return &runtimeapi.ListImagesResponse{Images: s.all()}, nil
}

// StreamImages sends images one by one.
func (s imageService) StreamImages(_ *runtimeapi.StreamImagesRequest, stream grpc.ServerStreamingServer[runtimeapi.StreamImagesResponse]) error {
	s.r.mu.Lock()
	images := s.all()
	s.r.mu.Unlock()
	for _, image := range images {
		if err := stream.Send(&runtimeapi.StreamImagesResponse{Images: []*runtimeapi.Image{image}}); err != nil {
			return err
		}
	}
	return nil
}

// RemoveImage removes all names of an image.
func (s imageService) RemoveImage(_ context.Context, req *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	image := s.find(req.GetImage().GetImage())
	for _, name := range slices.Concat(image.GetRepoTags(), image.GetRepoDigests(), []string{image.GetId()}) {
		s.r.remove(name, 0)
	}
	return &runtimeapi.RemoveImageResponse{}, nil
}
