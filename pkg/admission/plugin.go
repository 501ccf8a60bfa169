package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/selector"
)

const (
	// imageName is containerd's annotation with the reference that the pod
	// asked for. NRI's own image name may be another name of the same image.
	imageName = "io.kubernetes.cri.image-name"
	// crioImageRef is CRI-O's annotation with the image id.
	crioImageRef = "io.kubernetes.cri-o.ImageRef"
)

// Recaller returns what is known of an image id and how it fits the node now.
type Recaller interface {
	Recall(imageID string) (decision.Variant, selector.Verdict, error)
}

// Plugin holds every new container against the facts.
type Plugin struct {
	// Resolve, where set, finds the image of a container that the runtime
	// gives no identity of. It is set before the plugin runs.
	Resolve Resolve

	images Recaller
	audit  bool
	exempt decision.Exemptions
	log    *slog.Logger
}

// New returns a plugin. With audit it logs what it would refuse and lets it be.
func New(images Recaller, audit bool, exempt decision.Exemptions, log *slog.Logger) *Plugin {
	return &Plugin{images: images, audit: audit, exempt: exempt, log: log}
}

// CreateContainer is NRI's hook before a container is created. An error refuses
// the container on every runtime.
func (p *Plugin) CreateContainer(
	ctx context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	return nil, nil, p.admit(ctx, pod, container, p.log)
}

// ValidateContainerAdjustment is NRI's hook after all plugins had their say. A
// runtime that has it refuses the container also when the plugin does not
// answer. What CreateContainer let pass was logged there.
func (p *Plugin) ValidateContainerAdjustment(ctx context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	return p.admit(ctx, req.GetPod(), req.GetContainer(), slog.New(slog.DiscardHandler))
}

// Synchronize is told what runs already when the plugin connects. Nothing that
// runs is ever stopped; what does not fit is logged.
func (p *Plugin) Synchronize(ctx context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	byID := make(map[string]*api.PodSandbox, len(pods))
	for _, pod := range pods {
		byID[pod.GetId()] = pod
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime) // for all of them: the runtime waits
	defer cancel()
	for _, c := range containers {
		id := p.imageID(ctx, c)
		if reason, unfit := p.reason(id, c); unfit {
			attributes(p.log, byID[c.GetPodSandboxId()], c, id).Warn("running container does not fit this node", "reason", reason)
		}
	}
	p.log.Info("connected to the runtime", "containers", len(containers))
	return nil, nil
}

// admit returns the refusal of a container, or nil. What it lets pass although
// it does not fit goes to passed.
func (p *Plugin) admit(ctx context.Context, pod *api.PodSandbox, container *api.Container, passed *slog.Logger) error {
	id := p.imageID(ctx, container)
	reason, unfit := p.reason(id, container)
	if !unfit {
		return nil
	}
	switch {
	case p.audit:
		attributes(passed, pod, container, id).Warn("container would be refused", "reason", reason)
		return nil
	case p.exempt.Match(pod.GetNamespace(), pod.GetAnnotations()):
		attributes(passed, pod, container, id).Warn("exempt container does not fit this node", "reason", reason)
		return nil
	}
	attributes(p.log, pod, container, id).Warn("container refused", "reason", reason)
	return fmt.Errorf("imagefit: %s", reason)
}

// reason says why the container's image does not fit. An image that nobody
// decided about, or that cannot be judged, is no reason to refuse.
func (p *Plugin) reason(id string, container *api.Container) (string, bool) {
	if id == "" {
		return "", false
	}
	image, verdict, err := p.images.Recall(id)
	switch {
	case errors.Is(err, cache.ErrMiss):
		return "", false
	case err != nil:
		p.log.Error("what an image needs cannot be read", "image", id, "error", err)
		return "", false
	}
	reference := container.GetAnnotations()[imageName]
	if reference == "" {
		reference = image.Reference
	}
	return image.Refusal(reference, verdict), verdict.Outcome == selector.Unfit
}

func attributes(log *slog.Logger, pod *api.PodSandbox, container *api.Container, id string) *slog.Logger {
	return log.With("namespace", pod.GetNamespace(), "pod", pod.GetName(), "container", container.GetName(), "image", id)
}
