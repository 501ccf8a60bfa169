package admission

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/nri/pkg/api"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// resolveTime bounds what a hook spends on finding out an image id. A runtime
// drops a plugin that does not answer within two seconds, and creates the
// container unchecked.
const resolveTime = 500 * time.Millisecond

// Resolve returns the image that the runtime has under a name. It asks the
// runtime on this node, never a registry.
type Resolve func(ctx context.Context, name string) (*runtimeapi.Image, error)

// ResolveBy resolves by CRI's ImageStatus.
func ResolveBy(conn grpc.ClientConnInterface) Resolve {
	images := runtimeapi.NewImageServiceClient(conn)
	return func(ctx context.Context, name string) (*runtimeapi.Image, error) {
		reply, err := images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
		if err != nil {
			return nil, fmt.Errorf("ask the runtime for image %s: %w", name, err)
		}
		if reply.GetImage().GetId() == "" {
			return nil, fmt.Errorf("ask the runtime for image %s: it has none of that name", name)
		}
		return reply.GetImage(), nil
	}
}

// identity is which image a container has: its id, empty where that cannot be
// told, and the references that the container may have come by.
type identity struct {
	id    string
	names []string
}

// imageOf returns the identity of a container's image. containerd gives it from
// 2.4 on, CRI-O in an annotation. An older containerd gives a name: 1.7 one that
// it looked up for the id a moment before, 2.0 to 2.3 the one that the pod asked
// for. Such a name may be any of those that the image has.
func (p *Plugin) imageOf(ctx context.Context, container *api.Container) identity {
	var names []string
	name := container.GetAnnotations()[imageName]
	if name != "" {
		names = []string{name}
	}
	if id := container.GetImage().GetConfigDigest(); id != "" {
		return identity{id, names}
	}
	if id := container.GetAnnotations()[crioImageRef]; id != "" {
		return identity{id, names}
	}
	if p.Resolve == nil || name == "" {
		p.Log.Debug("the runtime does not say which image a container has", "container", container.GetName())
		return identity{}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	image, err := p.Resolve(ctx, name)
	if err != nil {
		p.Log.Warn("container goes unchecked: its image cannot be told", "container", container.GetName(), "error", err)
		return identity{}
	}
	return identity{image.GetId(), slices.Concat(names, image.GetRepoTags(), image.GetRepoDigests())}
}
