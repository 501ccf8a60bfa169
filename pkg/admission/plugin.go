package admission

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
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

// maxLooking bounds of how many sessions the containers are looked at at the same time.
const maxLooking = 4

// Options are what a Plugin is made of.
type Options struct {
	Images Images
	// Resolve, if set, finds the image of a container that the runtime does not
	// identify.
	Resolve Resolve
	// Record is called with one record per container.
	Record func(decisionlog.Record)
	// Configured, if set, gets the configuration that the runtime has for the plugin.
	Configured func(text string)
	// Stamp, if set, is a file whose time says until when the plugin was connected.
	Stamp string
	Log   *slog.Logger
}

// Plugin is the NRI plugin. It has a verdict on the image of every new container.
type Plugin struct {
	Options
	verdicts *Verdicts
	stamp    *stamp
	state    state
	// found are the containers of Synchronize that are being looked at, of at most
	// maxLooking sessions.
	found   sync.WaitGroup
	looking chan struct{}
	ctx     context.Context
	end     context.CancelFunc
}

// New returns a plugin, which Run connects to the runtime.
func New(o Options) *Plugin {
	p := &Plugin{Options: o, verdicts: NewVerdicts(o.Images, o.Log), stamp: newStamp(o.Stamp), looking: make(chan struct{}, maxLooking)}
	p.ctx, p.end = context.WithCancel(context.Background())
	return p
}

// CreateContainer is NRI's hook before a container is created. An error refuses
// the container on every runtime.
func (p *Plugin) CreateContainer(
	ctx context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	defer p.state.hook()()
	rec := p.evaluate(ctx, pod, container)
	p.Record(rec)
	return warning(rec), nil, refusal(rec)
}

// ValidateContainerAdjustment is NRI's hook after all plugins have adjusted the
// container. A runtime that has it also refuses the container if the plugin does
// not answer. A container that was admitted in CreateContainer is recorded there.
func (p *Plugin) ValidateContainerAdjustment(ctx context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	defer p.state.hook()()
	rec := p.evaluate(ctx, req.GetPod(), req.GetContainer())
	if rec.Action == policy.Refused {
		p.Record(rec)
	}
	return refusal(rec)
}

// WarningAnnotation is the annotation of a container that runs although its image does
// not fit, in mode warn. Its value is the sentence that a refusal would have.
const WarningAnnotation = "imagefit.io/warning"

// warning puts into the container why mode enforce would refuse it.
func warning(r decisionlog.Record) *api.ContainerAdjustment {
	if !r.Warned() {
		return nil
	}
	adjust := &api.ContainerAdjustment{}
	adjust.AddAnnotation(WarningAnnotation, r.Reason)
	return adjust
}

func refusal(r decisionlog.Record) error {
	if r.Action != policy.Refused {
		return nil
	}
	return fmt.Errorf("imagefit: %s", r.Reason)
}

// Synchronize is NRI's hook after registration, with the containers that are
// running. None is ever stopped; those that do not fit are recorded. The runtime
// creates no container until it returns, so the containers are looked at afterwards:
// a thousand records and a slow disk cost the node nothing then.
func (p *Plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	defer p.state.hook()()
	connected := p.stamp.last()
	select {
	case p.looking <- struct{}{}:
		p.found.Go(func() {
			defer func() { <-p.looking }()
			p.lookAt(pods, containers, connected)
		})
	default:
		p.Log.Warn("not looking at the running containers: those of earlier connections are not done", "containers", len(containers))
	}
	p.stamp.keep()
	p.state.synchronize()
	p.Log.Info("connected to the runtime", "containers", len(containers))
	return nil, nil
}

// lookAt evaluates containers that are running, those last whose images the runtime
// has to be asked for. The plugin was connected until the given time.
func (p *Plugin) lookAt(pods []*api.PodSandbox, containers []*api.Container, connected int64) {
	byID := make(map[string]*api.PodSandbox, len(pods))
	for _, pod := range pods {
		byID[pod.GetId()] = pod
	}
	var unidentified []*api.Container
	for _, c := range containers {
		pod := byID[c.GetPodSandboxId()]
		if id, names := identified(c); id != "" || p.Resolve == nil {
			p.recordFound(c, p.decide(newRecord(pod, c), pod, c, id, names), connected)
		} else {
			unidentified = append(unidentified, c)
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, resolveFoundTimeout)
	defer cancel()
	for _, c := range unidentified {
		p.recordFound(c, p.evaluate(ctx, byID[c.GetPodSandboxId()], c), connected)
	}
}

// recordFound records what is found running although it does not fit, and what was
// created after the plugin was connected last.
func (p *Plugin) recordFound(c *api.Container, rec decisionlog.Record, connected int64) {
	switch {
	case rec.Action == policy.Refused || rec.Would == policy.Refused:
		rec.Action, rec.Would = policy.FoundUnfit, ""
	case connected != 0 && c.GetCreatedAt() > connected:
		rec.ReasonCode, rec.Reason = policy.NotConnected, "it was created while nri-plugin was not connected to the runtime"
	default:
		return
	}
	p.Record(rec)
}

func newRecord(pod *api.PodSandbox, container *api.Container) decisionlog.Record {
	return decisionlog.Record{
		Time: time.Now().UTC(), Action: policy.Admitted, Reference: referenceOf(container),
		Namespace: pod.GetNamespace(), Pod: pod.GetName(), Container: container.GetName(),
	}
}

// evaluate decides about a container. It admits a container whose image is not known.
func (p *Plugin) evaluate(ctx context.Context, pod *api.PodSandbox, container *api.Container) decisionlog.Record {
	rec := newRecord(pod, container)
	id, names := p.imageOf(ctx, container)
	rec = p.decide(rec, pod, container, id, names)
	rec.Took = time.Since(rec.Time)
	return rec
}

// decide looks up the verdict on an image that may have been requested by the names.
func (p *Plugin) decide(
	rec decisionlog.Record, pod *api.PodSandbox, container *api.Container, id string, names []string,
) decisionlog.Record {
	return decision.Container{
		ImageID: id, Names: names, WithoutNVIDIA: disablesNVIDIA(container),
		Pod: policy.Pod{Namespace: pod.GetNamespace(), Annotations: pod.GetAnnotations()},
	}.Admit(p.verdicts, rec)
}

// disablesNVIDIA reports whether a container turns the check of NVIDIA_REQUIRE_*
// off, as its pod may.
func disablesNVIDIA(container *api.Container) bool {
	disabled := false
	for _, variable := range container.GetEnv() {
		if value, is := strings.CutPrefix(variable, dialect.NVIDIADisable+"="); is {
			disabled = dialect.DisablesNVIDIA(value) // of a variable given twice, the last
		}
	}
	return disabled
}

// validateSince is the first version of NRI with ValidateContainerAdjustment.
const validateSince = "0.10.0"

// Configure is NRI's hook at registration. It returns the events to subscribe to;
// none means all that the plugin handles. A runtime rejects a plugin that
// subscribes to an event it does not know, so on an older one the plugin
// subscribes to CreateContainer only.
func (p *Plugin) Configure(_ context.Context, configuration, runtime, runtimeVersion string) (api.EventMask, error) {
	if configuration != "" && p.Configured != nil {
		p.Configured(configuration)
	}
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
