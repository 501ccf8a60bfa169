package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// callTimeout bounds each call to the runtime.
const callTimeout = 10 * time.Second

// Auditor audits one node.
type Auditor struct {
	runtime runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	recall  *recalled
}

// New returns an auditor of the node whose runtime is behind conn; images lists its
// images, as conn does or as clients of cri-proxy see them.
func New(kept Images, conn, images grpc.ClientConnInterface) *Auditor {
	return &Auditor{
		runtime: runtimeapi.NewRuntimeServiceClient(conn), images: runtimeapi.NewImageServiceClient(images),
		recall: &recalled{images: kept, snapshot: kept.Snapshot(), known: map[string]recollection{}},
	}
}

// Audit evaluates all running containers and all images.
func (a *Auditor) Audit(ctx context.Context) (Report, error) {
	a.recall.renew()
	listed, err := a.list(ctx)
	if err != nil {
		return Report{}, err
	}
	r := Report{Time: time.Now().UTC(), Facts: a.recall.Snapshot().Facts.Fingerprint(), Containers: []Container{}, Images: []Image{}}
	used := map[string]bool{}
	for _, c := range listed.containers {
		one := a.container(ctx, listed, c)
		used[cache.ImageKey(one.ImageID)] = true
		r.Containers = append(r.Containers, one)
	}
	for _, image := range listed.images {
		used[cache.ImageKey(image.GetId())] = true
		for _, name := range namesOf(image) {
			r.Images = append(r.Images, Image{a.image(image.GetId(), name)})
		}
	}
	a.recall.keep(used)
	slices.SortFunc(r.Containers, func(a, b Container) int {
		return cmp.Or(order(a.Verdict, b.Verdict), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(r.Images, func(a, b Image) int {
		return cmp.Or(order(a.Verdict, b.Verdict), cmp.Compare(a.Reference, b.Reference))
	})
	return r, nil
}

func order(a, b Verdict) int {
	return slices.Index(Verdicts(), a) - slices.Index(Verdicts(), b)
}

// listing is what runs on the node and is on it.
type listing struct {
	containers []*runtimeapi.Container
	pods       map[string]*runtimeapi.PodSandbox // by ID
	images     []*runtimeapi.Image
	ids        map[string]string // image IDs by name and by ID
}

func (a *Auditor) list(ctx context.Context) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l := listing{pods: map[string]*runtimeapi.PodSandbox{}, ids: map[string]string{}}
	running := &runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING}}
	containers, err := a.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: running})
	if err != nil {
		return l, fmt.Errorf("list containers over CRI: %w", err)
	}
	pods, err := a.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return l, fmt.Errorf("list pods over CRI: %w", err)
	}
	images, err := a.images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return l, fmt.Errorf("list images over CRI: %w", err)
	}
	l.containers, l.images = containers.GetContainers(), images.GetImages()
	for _, pod := range pods.GetItems() {
		l.pods[pod.GetId()] = pod
	}
	for _, image := range l.images {
		for _, name := range slices.Concat(image.GetRepoTags(), image.GetRepoDigests(), []string{image.GetId()}) {
			l.ids[name] = image.GetId()
		}
	}
	return l, nil
}

// namesOf returns the names of an image: its tags, else its digests, else its ID.
func namesOf(image *runtimeapi.Image) []string {
	for _, names := range [][]string{image.GetRepoTags(), image.GetRepoDigests()} {
		if len(names) > 0 {
			return names
		}
	}
	return []string{image.GetId()}
}

// container decides about a container that runs.
func (a *Auditor) container(ctx context.Context, l listing, c *runtimeapi.Container) Container {
	pod := l.pods[c.GetPodSandboxId()]
	one := Container{
		ID: c.GetId(), Namespace: pod.GetMetadata().GetNamespace(), Pod: pod.GetMetadata().GetName(),
		Name: c.GetMetadata().GetName(), Created: time.Unix(0, c.GetCreatedAt()).UTC(),
	}
	reference := cmp.Or(c.GetImage().GetUserSpecifiedImage(), c.GetImage().GetImage())
	asked := decision.Container{
		ImageID: l.imageID(c), Names: []string{reference},
		Pod: policy.Pod{Namespace: one.Namespace, Annotations: pod.GetAnnotations()},
	}
	one.Finding = a.decide(asked, reference)
	if !one.Unfit() {
		return one
	}
	asked.WithoutNVIDIA = true
	if without := a.decide(asked, reference); !without.Unfit() && a.disablesNVIDIA(ctx, c.GetId()) {
		one.Finding = without
	}
	return one
}

// image decides about an image by one of its names, as for a pod without exemptions.
func (a *Auditor) image(id, name string) Finding {
	return a.decide(decision.Container{ImageID: id, Names: []string{name}}, name)
}

func (a *Auditor) decide(c decision.Container, reference string) Finding {
	if decision.IsImageID(reference) {
		c.Names = nil
	}
	rec := decisionlog.Record{Action: policy.Admitted, Reference: reference}
	return findingOf(c.Admit(a.recall, rec).Bounded(), c.ImageID)
}

// imageID returns the ID of the image of a container. Runtimes tell it in one of two
// fields, or a digest reference of the image.
func (l listing) imageID(c *runtimeapi.Container) string {
	for _, name := range []string{c.GetImageId(), c.GetImageRef(), c.GetImage().GetImage()} {
		if id, known := l.ids[name]; known && name != "" {
			return id
		}
	}
	for _, name := range []string{c.GetImageId(), c.GetImageRef()} { // of an image that was removed
		if decision.IsImageID(name) {
			return name
		}
	}
	return ""
}

// disablesNVIDIA reports whether the environment of a container turns the check of
// NVIDIA's variables off, as far as the runtime tells that.
func (a *Auditor) disablesNVIDIA(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, err := a.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return false
	}
	var info struct {
		Config struct {
			Envs []struct{ Key, Value string } `json:"envs"` // containerd
		} `json:"config"`
		Spec struct {
			Process struct {
				Env []string `json:"env"` // CRI-O
			} `json:"process"`
		} `json:"runtimeSpec"`
	}
	if json.Unmarshal([]byte(status.GetInfo()["info"]), &info) != nil {
		return false
	}
	disables := false
	for _, env := range info.Config.Envs {
		disables = disables || env.Key == dialect.NVIDIADisable && dialect.DisablesNVIDIA(env.Value)
	}
	for _, env := range info.Spec.Process.Env {
		value, is := strings.CutPrefix(env, dialect.NVIDIADisable+"=")
		disables = disables || is && dialect.DisablesNVIDIA(value)
	}
	return disables
}
