package admission

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/nri/pkg/api"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// resolveTime bounds what a hook spends on finding out an image id. A runtime
// drops a plugin that does not answer within two seconds, and creates the
// container unchecked.
const resolveTime = 500 * time.Millisecond

// Resolve returns the id of the image that the runtime has under a name. It asks
// the runtime on this node, never a registry.
type Resolve func(ctx context.Context, name string) (imageID string, err error)

// ResolveBy resolves by CRI's ImageStatus.
func ResolveBy(conn grpc.ClientConnInterface) Resolve {
	images := runtimeapi.NewImageServiceClient(conn)
	return func(ctx context.Context, name string) (string, error) {
		reply, err := images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
		if err != nil {
			return "", fmt.Errorf("ask the runtime for image %s: %w", name, err)
		}
		if reply.GetImage().GetId() == "" {
			return "", fmt.Errorf("ask the runtime for image %s: it has none of that name", name)
		}
		return reply.GetImage().GetId(), nil
	}
}

// imageID returns the id of a container's image, empty where it cannot be told.
// containerd gives it from 2.4 on, CRI-O in an annotation. An older containerd
// gives a name: 1.7 one that it looked up for the id a moment before, 2.0 to 2.3
// the one that the pod asked for.
func (p *Plugin) imageID(ctx context.Context, container *api.Container) string {
	if id := container.GetImage().GetConfigDigest(); id != "" {
		return id
	}
	if id := container.GetAnnotations()[crioImageRef]; id != "" {
		return id
	}
	name := container.GetAnnotations()[imageName]
	if p.Resolve == nil || name == "" {
		p.Log.Debug("the runtime does not say which image a container has", "container", container.GetName())
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	id, err := p.Resolve(ctx, name)
	if err != nil {
		p.Log.Warn("container goes unchecked: its image cannot be told", "container", container.GetName(), "error", err)
		return ""
	}
	return id
}
