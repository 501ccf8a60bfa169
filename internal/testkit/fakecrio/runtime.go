// Package fakecrio is as much of CRI-O as imagefit meets, within a test: the image service
// over a store in which an image has names and the digests of what it was pulled as.
package fakecrio

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// Runtime is a CRI-O. Its fields are set before it serves.
type Runtime struct {
	// Registry is what images are pulled from, whatever host a reference names.
	Registry *fakeregistry.Registry
	// Pinned are names whose images are shown as pinned.
	Pinned []string
	// InUse are ids of images that containers use.
	InUse []string

	mu      sync.Mutex
	images  []*image
	pulls   []string
	created []*runtimeapi.CreateContainerRequest
}

// image is one image of the store.
type image struct {
	id      string
	names   []string
	digests []digest.Digest // of the manifest, and of the index that it was pulled by
}

// Register makes a server serve the runtime.
func (r *Runtime) Register(s grpc.ServiceRegistrar) {
	runtimeapi.RegisterImageServiceServer(s, imageService{r: r})
	runtimeapi.RegisterRuntimeServiceServer(s, runtimeService{r: r})
}

// Pulls are the references of all pulls.
func (r *Runtime) Pulls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.pulls)
}

// Created are the requests for containers so far.
func (r *Runtime) Created() []*runtimeapi.CreateContainerRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.created)
}

type runtimeService struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	r *Runtime
}

// CreateContainer keeps the request.
func (s runtimeService) CreateContainer(_ context.Context, req *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.created = append(s.r.created, req)
	return &runtimeapi.CreateContainerResponse{ContainerId: "container"}, nil
}

// Version is that of CRI-O.
func (runtimeService) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "cri-o", RuntimeVersion: "1.37.0"}, nil
}

type imageService struct {
	runtimeapi.UnimplementedImageServiceServer
	r *Runtime
}

// PullImage gives the image the name that it was pulled by, and takes that from another.
func (s imageService) PullImage(_ context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	name := normal(req.GetImage().GetImage())
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.pulls = append(s.r.pulls, name)
	repository, suffix := split(name)
	_, path, _ := strings.Cut(repository, "/")
	body, _ := s.r.Registry.In(path).Content(suffix)
	pulled := []digest.Digest{digest.FromBytes(body)}
	var index ocispec.Index
	if json.Unmarshal(body, &index) == nil && len(index.Manifests) > 0 {
		chosen, ok := choose(index)
		if !ok {
			return nil, errors.New(`unable to pull image or OCI artifact: pull image err: choosing an image from manifest list: no image found in image index for architecture "amd64"`)
		}
		body, _ = s.r.Registry.In(path).Content(chosen.String())
		pulled = append([]digest.Digest{chosen}, pulled...)
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(body, &manifest) != nil || manifest.Config.Digest == "" {
		return nil, errors.New("unable to pull image or OCI artifact: pull image err: manifest unknown")
	}
	pulledAs := s.r.add(manifest.Config.Digest.Encoded())
	for _, other := range s.r.images {
		other.names = slices.DeleteFunc(other.names, func(n string) bool { return n == name })
	}
	pulledAs.names = append(pulledAs.names, name)
	for _, d := range pulled {
		if !slices.Contains(pulledAs.digests, d) {
			pulledAs.digests = append(pulledAs.digests, d)
		}
	}
	return &runtimeapi.PullImageResponse{ImageRef: pulledAs.id}, nil
}

// choose takes the first image for the plain platform.
func choose(index ocispec.Index) (digest.Digest, bool) {
	for _, m := range index.Manifests {
		if m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == "amd64" && m.Platform.Variant == "" {
			return m.Digest, true
		}
	}
	return "", false
}

func (r *Runtime) add(id string) *image {
	for _, i := range r.images {
		if i.id == id {
			return i
		}
	}
	i := &image{id: id}
	r.images = append(r.images, i)
	return i
}

// find returns the image of an id, of a name, or of a digest in a repository in which the
// image has a name.
func (r *Runtime) find(ref string) *image {
	name := normal(ref)
	repository, suffix := split(name)
	for _, i := range r.images {
		if i.id == ref || slices.Contains(i.names, name) {
			return i
		}
	}
	for _, i := range r.images {
		if slices.Contains(i.digests, digest.Digest(suffix)) && slices.Contains(i.repositories(), repository) {
			return i
		}
	}
	return nil
}

func (i *image) repositories() []string {
	var all []string
	for _, name := range i.names {
		if repository, _ := split(name); !slices.Contains(all, repository) {
			all = append(all, repository)
		}
	}
	return all
}

// show is the image in the CRI, with each of its digests in each of its repositories.
func (r *Runtime) show(i *image) *runtimeapi.Image {
	if i == nil {
		return nil
	}
	shown := &runtimeapi.Image{Id: i.id, Size: 1, Username: "nobody"}
	for _, name := range i.names {
		if !strings.Contains(name, "@") {
			shown.RepoTags = append(shown.RepoTags, name)
		}
		shown.Pinned = shown.Pinned || slices.Contains(r.Pinned, name)
	}
	for _, repository := range i.repositories() {
		for _, d := range i.digests {
			shown.RepoDigests = append(shown.RepoDigests, repository+"@"+d.String())
		}
	}
	slices.Sort(shown.RepoTags)
	slices.Sort(shown.RepoDigests)
	return shown
}

func (s imageService) ImageStatus(_ context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return &runtimeapi.ImageStatusResponse{Image: s.r.show(s.r.find(req.GetImage().GetImage()))}, nil
}

func (s imageService) ListImages(_ context.Context, req *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	resp := new(runtimeapi.ListImagesResponse)
	for _, i := range s.r.images {
		if one := req.GetFilter().GetImage().GetImage(); one == "" || s.r.find(one) == i {
			resp.Images = append(resp.Images, s.r.show(i))
		}
	}
	return resp, nil
}

func (s imageService) StreamImages(req *runtimeapi.StreamImagesRequest, stream grpc.ServerStreamingServer[runtimeapi.StreamImagesResponse]) error {
	list, _ := s.ListImages(stream.Context(), &runtimeapi.ListImagesRequest{Filter: req.GetFilter()})
	return stream.Send(&runtimeapi.StreamImagesResponse{Images: list.GetImages()})
}

// RemoveImage removes an image by its id, or else a name, and the image with the last one.
func (s imageService) RemoveImage(_ context.Context, req *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	ref := req.GetImage().GetImage()
	i := s.r.find(ref)
	if i == nil {
		return &runtimeapi.RemoveImageResponse{}, nil
	}
	left := slices.DeleteFunc(slices.Clone(i.names), func(name string) bool { return name == normal(ref) })
	if i.id != ref && len(left) > 0 {
		i.names = left
		return &runtimeapi.RemoveImageResponse{}, nil
	}
	if slices.Contains(s.r.InUse, i.id) {
		return nil, errors.New("delete image: image used by a container")
	}
	s.r.images = slices.DeleteFunc(s.r.images, func(other *image) bool { return other == i })
	return &runtimeapi.RemoveImageResponse{}, nil
}

// normal is a reference without the tag beside a digest, which CRI-O drops.
func normal(ref string) string {
	repository, suffix := split(ref)
	if strings.Contains(ref, "@") {
		repository, _ = split(repository)
		return repository + "@" + suffix
	}
	return ref
}

// split parts a reference into its repository and its tag or digest.
func split(ref string) (repository, suffix string) {
	if repository, suffix, ok := strings.Cut(ref, "@"); ok {
		return repository, suffix
	}
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		return ref[:colon], ref[colon+1:]
	}
	return ref, ""
}
