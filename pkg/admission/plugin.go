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
	"github.com/imagefit/imagefit/pkg/version"
)

const (
	// imageName is containerd's annotation with the reference in the pod. NRI's
	// image name may be another name of the same image.
	imageName = "io.kubernetes.cri.image-name"
	// CRI-O's annotations: the reference in the pod, some name of the image, its id, and
	// every digest reference of it, with commas between them.
	crioImage       = "io.kubernetes.cri-o.Image"
	crioImageName   = "io.kubernetes.cri-o.ImageName"
	crioImageRef    = "io.kubernetes.cri-o.ImageRef"
	crioRepoDigests = "io.kubernetes.cri-o.ImageRepoDigests"
)

// Recaller evaluates images by what is cached of them.
type Recaller interface {
	// Snapshot returns the current rules and facts.
	Snapshot() decision.Snapshot
	// Recall returns what is cached under an image id, as the repositories of the
	// references have it, and its verdict.
	Recall(s decision.Snapshot, imageID string, references ...string) (decision.Variant, selector.Verdict, error)
}

// Options are what a Plugin is made of.
type Options struct {
	Images Recaller
	// Resolve, if set, finds the image of a container that the runtime does not
	// identify.
	Resolve Resolve
	// Record is called with one record per container.
	Record func(decisionlog.Record)
	Log    *slog.Logger
}

// Plugin is the NRI plugin. It evaluates the image of every new container.
type Plugin struct {
	Options
	connected atomic.Bool
}

// New returns a plugin.
func New(o Options) *Plugin { return &Plugin{Options: o} }

// Connected reports whether the plugin is registered with the runtime.
func (p *Plugin) Connected() bool { return p.connected.Load() }

// CreateContainer is NRI's hook before a container is created. An error refuses
// the container on every runtime.
func (p *Plugin) CreateContainer(
	ctx context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	rec := p.evaluate(ctx, pod, container)
	p.Record(rec)
	return nil, nil, refusal(rec)
}

// ValidateContainerAdjustment is NRI's hook after all plugins have adjusted the
// container. A runtime that has it also refuses the container if the plugin does
// not answer. A container that was admitted in CreateContainer is recorded there.
func (p *Plugin) ValidateContainerAdjustment(ctx context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	rec := p.evaluate(ctx, req.GetPod(), req.GetContainer())
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

// Synchronize is NRI's hook after registration, with the containers that are
// running. None is ever stopped; those that do not fit are recorded.
func (p *Plugin) Synchronize(ctx context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	byID := make(map[string]*api.PodSandbox, len(pods))
	for _, pod := range pods {
		byID[pod.GetId()] = pod
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout) // for all of them: the runtime waits
	defer cancel()
	for _, c := range containers {
		rec := p.evaluate(ctx, byID[c.GetPodSandboxId()], c)
		if rec.Action == policy.Refused || rec.Would == policy.Refused {
			rec.Action, rec.Would = policy.FoundUnfit, ""
			p.Record(rec)
		}
	}
	p.Log.Info("connected to the runtime", "containers", len(containers))
	return nil, nil
}

// evaluate decides about a container. It admits a container whose image is not
// cached or cannot be read.
func (p *Plugin) evaluate(ctx context.Context, pod *api.PodSandbox, container *api.Container) (rec decisionlog.Record) {
	start := time.Now()
	rec = decisionlog.Record{
		Time: start.UTC(), Action: policy.Admitted, Reference: referenceOf(container),
		Namespace: pod.GetNamespace(), Pod: pod.GetName(), Container: container.GetName(),
	}
	defer func() { rec.Took = time.Since(start) }()
	id, names := p.imageOf(ctx, container)
	if id == "" {
		return rec
	}
	snapshot := p.Images.Snapshot()
	image, verdict, err := p.Images.Recall(snapshot, id, names...)
	switch {
	case errors.Is(err, cache.ErrMiss):
		return rec
	case err != nil:
		p.Log.Error("cannot read the requirements of an image, admitting its containers", "image", id, "error", err)
		return rec
	}
	if rec.Reference == "" {
		rec.Reference = image.Reference
	}
	named := rec.Reference
	if decision.IsImageID(named) { // which has no repository
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

// validateSince is the first version of NRI with ValidateContainerAdjustment.
const validateSince = "0.10.0"

// Configure is NRI's hook at registration. It returns the events to subscribe to;
// none means all that the plugin handles. A runtime rejects a plugin that
// subscribes to an event it does not know, so on an older one the plugin
// subscribes to CreateContainer only.
func (p *Plugin) Configure(_ context.Context, _, runtime, runtimeVersion string) (api.EventMask, error) {
	number, ok := version.Parse(runtimeVersion) // distributions append their own to it
	if !ok {
		return 0, nil
	}
	nri, err := api.InferVersionFromRuntime(runtime, "v"+number.String())
	if err != nil {
		return 0, nil //nolint:nilerr // not one of the old runtimes
	}
	if order, ok := version.Compare(nri, validateSince); ok && order < 0 {
		p.Log.Info("the runtime has no hook to validate containers, using CreateContainer only", "nri", nri)
		var events api.EventMask
		events.Set(api.Event_CREATE_CONTAINER)
		return events, nil
	}
	return 0, nil
}
