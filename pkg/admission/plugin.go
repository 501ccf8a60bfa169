package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

const (
	// imageName is containerd's annotation with the reference that the pod
	// asked for. NRI's own image name may be another name of the same image.
	imageName = "io.kubernetes.cri.image-name"
	// crioImageRef is CRI-O's annotation with the image id.
	crioImageRef = "io.kubernetes.cri-o.ImageRef"
)

// Recaller returns what is known of an image id, as the repositories of the
// references have it, and how it fits the node.
type Recaller interface {
	// Snapshot returns the rules and facts of this moment.
	Snapshot() decision.Snapshot
	Recall(s decision.Snapshot, imageID string, references ...string) (decision.Variant, selector.Verdict, error)
}

// Options are what a Plugin is made of.
type Options struct {
	Images Recaller
	// Resolve, where set, finds the image of a container that the runtime
	// gives no identity of.
	Resolve Resolve
	// Record takes one record for each container.
	Record func(decisionlog.Record)
	Log    *slog.Logger
}

// Plugin holds every new container against the facts.
type Plugin struct {
	Options
	connected atomic.Bool
}

// New returns a plugin.
func New(o Options) *Plugin { return &Plugin{Options: o} }

// Connected tells whether the runtime has the plugin now.
func (p *Plugin) Connected() bool { return p.connected.Load() }

// CreateContainer is NRI's hook before a container is created. An error refuses
// the container on every runtime.
func (p *Plugin) CreateContainer(
	ctx context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	rec := p.judge(ctx, pod, container)
	p.Record(rec)
	return nil, nil, refusal(rec)
}

// ValidateContainerAdjustment is NRI's hook after all plugins had their say. A
// runtime that has it refuses the container also when the plugin does not
// answer. What CreateContainer let pass was recorded there.
func (p *Plugin) ValidateContainerAdjustment(ctx context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	rec := p.judge(ctx, req.GetPod(), req.GetContainer())
	if rec.Action == policy.Refused {
		p.Record(rec)
	}
	return refusal(rec)
}

func refusal(r decisionlog.Record) error {
	if r.Action != policy.Refused {
		return nil
	}
	return fmt.Errorf("imagefit: %s", r.Reason)
}

// Synchronize is told what runs already when the plugin connects. Nothing that
// runs is ever stopped; what does not fit is recorded.
func (p *Plugin) Synchronize(ctx context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	byID := make(map[string]*api.PodSandbox, len(pods))
	for _, pod := range pods {
		byID[pod.GetId()] = pod
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime) // for all of them: the runtime waits
	defer cancel()
	for _, c := range containers {
		rec := p.judge(ctx, byID[c.GetPodSandboxId()], c)
		if rec.Action == policy.Refused || rec.Would == policy.Refused {
			rec.Action, rec.Would = policy.FoundUnfit, ""
			p.Record(rec)
		}
	}
	p.Log.Info("connected to the runtime", "containers", len(containers))
	return nil, nil
}

// judge decides about a container. An image that nobody decided about, or that
// cannot be judged, is no reason to refuse.
func (p *Plugin) judge(ctx context.Context, pod *api.PodSandbox, container *api.Container) (rec decisionlog.Record) {
	start := time.Now()
	rec = decisionlog.Record{
		Time: start.UTC(), Action: policy.Admitted, Reference: container.GetAnnotations()[imageName],
		Namespace: pod.GetNamespace(), Pod: pod.GetName(), Container: container.GetName(),
	}
	defer func() { rec.Took = time.Since(start) }()
	asked := p.imageOf(ctx, container)
	id := asked.id
	if id == "" {
		return rec
	}
	snapshot := p.Images.Snapshot()
	image, verdict, err := p.Images.Recall(snapshot, id, asked.names...)
	switch {
	case errors.Is(err, cache.ErrMiss):
		return rec
	case err != nil:
		p.Log.Error("what an image needs cannot be read", "image", id, "error", err)
		return rec
	}
	if rec.Reference == "" {
		rec.Reference = image.Reference
	}
	named := rec.Reference
	if decision.IsImageID(named) { // which is in no repository
		named = image.Reference
	}
	effective := policy.EffectiveFor(snapshot.Rules.Policy, decision.RepositoryOf(named), policy.Pod{
		Namespace: pod.GetNamespace(), Annotations: pod.GetAnnotations(),
	})
	rec.Mode, rec.Exempt, rec.Image, rec.Manifest = effective.Mode, effective.Exempt, id, image.Manifest.String()
	switch {
	case verdict.Outcome != selector.Unfit:
		return rec
	case effective.Enforced():
		rec.Action = policy.Refused
	default:
		rec.Would = policy.Refused
	}
	rec.Reason = image.Refusal(rec.Reference, verdict)
	return rec
}
