package audit

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode is a runtime that only lists.
type fakeNode struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	mu         sync.Mutex
	containers []*runtimeapi.Container
	pods       []*runtimeapi.PodSandbox
	images     []*runtimeapi.Image
	info       map[string]string // by container
	err        error
}

func (n *fakeNode) ListContainers(_ context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	running := slices.DeleteFunc(slices.Clone(n.containers), func(c *runtimeapi.Container) bool {
		return req.GetFilter().GetState() != nil && c.GetState() != req.GetFilter().GetState().GetState()
	})
	return &runtimeapi.ListContainersResponse{Containers: running}, n.err
}

func (n *fakeNode) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return &runtimeapi.ListPodSandboxResponse{Items: n.pods}, nil
}

func (n *fakeNode) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	return &runtimeapi.ListImagesResponse{Images: n.images}, nil
}

func (n *fakeNode) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{Info: map[string]string{"info": n.info[req.GetContainerId()]}}, nil
}

func (n *fakeNode) serve(t *testing.T) *cri.Backend {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "cri")
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, n)
	runtimeapi.RegisterImageServiceServer(server, n)
	critest.Serve(t, socket, server)
	backend, err := cri.NewBackend("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	return backend
}

func idOf(name string) string { return digest.FromString(name).String() }

const (
	app   = "registry.example/app:1"
	plain = "registry.example/plain:1"
	cuda  = "registry.example/cuda:1"
)

// newNode is a node of level 2 with images: app needs level 3, plain nothing, cuda a
// driver of NVIDIA, and nothing is known of the others.
func newNode(t *testing.T) (*fakeNode, *decisiontest.Bench) {
	t.Helper()
	features := testkit.Node(2).Features()
	features.Attributes["gpu.nvidia"] = map[string]string{"count": "1", "driver_version": "535.104.05"}
	bench := decisiontest.New(t, facts.New("linux", "amd64", features))
	bench.Change(func(r *decision.Rules) { r.NVIDIARequire = true })
	for name, claims := range map[string]decision.EntryClaims{
		app:   {Platform: json.RawMessage(`{"os": "linux", "architecture": "amd64", "variant": "v3"}`)},
		plain: {Platform: json.RawMessage(`{"os": "linux", "architecture": "amd64"}`)},
		cuda: {Platform: json.RawMessage(`{"os": "linux", "architecture": "amd64", "variant": "v2"}`),
			Environment: map[string]string{"NVIDIA_REQUIRE_DRIVER": "driver>=570"}},
	} {
		err := bench.Cache.PutImage(idOf(name), decision.Image{Variants: []decision.Variant{{Reference: name, Claims: claims}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	node := &fakeNode{info: map[string]string{}}
	for _, ref := range []string{app, plain, cuda, "registry.example/stranger:1"} {
		node.images = append(node.images, &runtimeapi.Image{Id: idOf(ref), RepoTags: []string{ref}, RepoDigests: []string{"x@" + idOf(ref)}})
	}
	node.pods = []*runtimeapi.PodSandbox{
		{Id: "web", Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "shop"}},
		{Id: "proxy", Metadata: &runtimeapi.PodSandboxMetadata{Name: "proxy", Namespace: "kube-system"}},
		{Id: "static", Metadata: &runtimeapi.PodSandboxMetadata{Name: "static", Namespace: "shop"},
			Annotations: map[string]string{"kubernetes.io/config.source": "file"}},
	}
	return node, bench
}

// run adds a container that runs.
func (n *fakeNode) run(name, pod string, image *runtimeapi.Container) {
	image.Id, image.PodSandboxId, image.Metadata = name, pod, &runtimeapi.ContainerMetadata{Name: name}
	image.State = runtimeapi.ContainerState_CONTAINER_RUNNING
	n.mu.Lock()
	defer n.mu.Unlock()
	n.containers = append(n.containers, image)
}

// of is a container as containerd lists it where the kubelet asked for a reference.
func of(ref string) *runtimeapi.Container {
	return &runtimeapi.Container{
		Image: &runtimeapi.ImageSpec{Image: idOf(ref), UserSpecifiedImage: ref}, ImageRef: idOf(ref), ImageId: idOf(ref),
	}
}

// found are the verdicts of a report on containers by their names, and the reasons.
func found(r Report) (verdicts map[string]Verdict, reasons map[string]string) {
	verdicts, reasons = map[string]Verdict{}, map[string]string{}
	for _, c := range r.Containers {
		verdicts[c.Name], reasons[c.Name] = c.Verdict, c.Reason
	}
	return verdicts, reasons
}

func TestContainersAreAuditedAsTheyWouldBeAdmitted(t *testing.T) {
	t.Parallel()
	node, bench := newNode(t)
	level := "needs cpu.x86_64 level >= 3 (is 2)"
	exited := of(app)
	for _, c := range []struct{ name, pod string }{{"unfit", "web"}, {"exempt", "proxy"}, {"static", "static"}} {
		node.run(c.name, c.pod, of(app))
	}
	node.run("fits", "web", of(plain))
	node.run("stranger", "web", of("registry.example/stranger:1"))
	node.run("copy", "web", &runtimeapi.Container{
		Image: &runtimeapi.ImageSpec{UserSpecifiedImage: "registry.example/copy:1"}, ImageId: idOf(app)})
	node.run("by digest", "web", &runtimeapi.Container{Image: &runtimeapi.ImageSpec{Image: app}, ImageRef: "x@" + idOf(app)})
	node.run("by ID", "web", &runtimeapi.Container{Image: &runtimeapi.ImageSpec{Image: idOf(app)}, ImageRef: idOf(app)})
	node.run("removed image", "web", &runtimeapi.Container{Image: &runtimeapi.ImageSpec{Image: idOf("gone")}, ImageRef: idOf("gone")})
	node.run("no image", "web", &runtimeapi.Container{})
	node.run("exited", "web", exited)
	exited.State = runtimeapi.ContainerState_CONTAINER_EXITED
	conn := node.serve(t)
	report, err := New(bench, conn, conn).Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verdicts, reasons := found(report)
	for name, want := range map[string]Verdict{
		"unfit": Refused, "exempt": Tolerated, "static": Tolerated, "fits": Admitted, "stranger": Unchecked, "copy": Unchecked,
		"by digest": Refused, "by ID": Refused, "removed image": Unchecked, "no image": Unchecked, "exited": "",
	} {
		if verdicts[name] != want {
			t.Errorf("%s is %q (%s), want %q", name, verdicts[name], reasons[name], want)
		}
		if want == Refused && !strings.Contains(reasons[name], level) {
			t.Errorf("%s: reason %q lacks %q", name, reasons[name], level)
		}
	}
	if first := report.Containers[0]; first.Verdict != Refused {
		t.Errorf("the first is %s", first.Verdict)
	}
	images := map[string]Verdict{}
	for _, i := range report.Images {
		images[i.Reference] = i.Verdict
	}
	if images[app] != Refused || images[plain] != Admitted || images["registry.example/stranger:1"] != Unchecked {
		t.Errorf("images %v", images)
	}
	if counts := report.Counts(); counts.Unfit() != 5 || counts.Images["unchecked"] != 1 || !report.Unfit() {
		t.Errorf("counts %+v", counts)
	}
}

// The environment of a container may turn the check of NVIDIA's variables off. Only the
// status of a container tells it, which is not asked for where nothing depends on it.
func TestContainerMayTurnTheCheckOfNVIDIAOff(t *testing.T) {
	t.Parallel()
	node, bench := newNode(t)
	for name, info := range map[string]string{
		"checked":    `{"config": {"envs": [{"key": "PATH", "value": "/"}]}}`,
		"containerd": `{"config": {"envs": [{"key": "NVIDIA_DISABLE_REQUIRE", "value": "1"}]}}`,
		"CRI-O":      `{"runtimeSpec": {"process": {"env": ["NVIDIA_DISABLE_REQUIRE=true"]}}}`,
		"malformed":  `{`,
	} {
		node.run(name, "web", of(cuda))
		node.info[name] = info
	}
	conn := node.serve(t)
	report, err := New(bench, conn, conn).Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verdicts, reasons := found(report)
	for name, want := range map[string]Verdict{"checked": Refused, "containerd": Admitted, "CRI-O": Admitted, "malformed": Refused} {
		if verdicts[name] != want {
			t.Errorf("%s is %q (%s), want %q", name, verdicts[name], reasons[name], want)
		}
	}
}

func TestAuditTellsWhatTheRuntimeDoesNotList(t *testing.T) {
	t.Parallel()
	node, bench := newNode(t)
	node.err = errors.New("out of order")
	conn := node.serve(t)
	if _, err := New(bench, conn, conn).Audit(t.Context()); err == nil || !strings.Contains(err.Error(), "list containers over CRI") {
		t.Errorf("error %v", err)
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen within 20s: %s", what)
		}
	}
}
