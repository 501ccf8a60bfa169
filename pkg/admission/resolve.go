package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/nri/pkg/api"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/decision"
)

// resolveTimeout bounds the lookup of an image id in a hook. A runtime drops a
// plugin that does not answer within two seconds, and creates the container
// without a check.
const (
	resolveTimeout = 500 * time.Millisecond
	// resolveFoundTimeout bounds it for all containers together that are found running,
	// for which nothing waits.
	resolveFoundTimeout = 30 * time.Second
)

// Resolve returns the image with a name. It asks the runtime on this node, never a
// registry.
type Resolve func(ctx context.Context, name string) (*runtimeapi.Image, error)

// ResolveBy resolves by CRI's ImageStatus.
func ResolveBy(conn grpc.ClientConnInterface) Resolve {
	images := runtimeapi.NewImageServiceClient(conn)
	return func(ctx context.Context, name string) (*runtimeapi.Image, error) {
		reply, err := images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
		if err != nil {
			return nil, fmt.Errorf("look up image %s in the runtime: %w", name, err)
		}
		if reply.GetImage().GetId() == "" {
			return nil, fmt.Errorf("look up image %s in the runtime: not found", name)
		}
		return reply.GetImage(), nil
	}
}

// referenceOf returns the reference in the pod, "" if the runtime does not tell it. A
// kubelet asks CRI-O by image id, which says nothing that the id does not. CRI-O also
// takes short names, which may stand for any registry: there it is the name of the
// image that ends in it.
func referenceOf(container *api.Container) string {
	annotations := container.GetAnnotations()
	if name := annotations[imageName]; name != "" {
		return name
	}
	name, full := annotations[crioImage], annotations[crioImageName]
	if decision.IsImageID(name) {
		return ""
	}
	if strings.HasSuffix(decision.RepositoryOf(full), "/"+repositoryPart(name)) {
		return full
	}
	return name
}

// repositoryPart is a reference without its tag and digest, as it is written.
func repositoryPart(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}

// identified returns the id of a container's image, "" where the runtime does not tell
// it, and the references by which the image may have been requested. containerd has
// the id since 2.4, CRI-O in an annotation.
func identified(container *api.Container) (id string, names []string) {
	name := referenceOf(container)
	if name != "" {
		names = []string{name}
	}
	if id := container.GetImage().GetConfigDigest(); id != "" {
		return id, names
	}
	id = container.GetAnnotations()[crioImageRef]
	if all := container.GetAnnotations()[crioRepoDigests]; id != "" && name == "" && all != "" {
		names = strings.Split(all, ",")
	}
	return id, names
}

// imageOf is identified, and asks the runtime where that does not tell. An older
// containerd has a name: 1.7 one that it looked up for the id just before, 2.0 to 2.3
// the one in the pod. It may be any name of the image.
func (p *Plugin) imageOf(ctx context.Context, container *api.Container) (id string, names []string) {
	id, names = identified(container)
	if id != "" {
		return id, names
	}
	if p.Resolve == nil || len(names) == 0 {
		p.Log.Debug("the runtime does not identify the image of a container", "container", container.GetName())
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	image, err := p.Resolve(ctx, names[0])
	if err != nil {
		p.Log.Warn("admitting container without a check: image ID unknown", "container", container.GetName(), "error", err)
		return "", nil
	}
	return image.GetId(), slices.Concat(names, image.GetRepoTags(), image.GetRepoDigests())
}
