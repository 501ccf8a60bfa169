package integration

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// node is imagefit on a containerd with a real kubelet.
type node struct {
	*fit
	kubelet *stack.Kubelet
	options stack.KubeletOptions
	calls   *recorder // of what the kubelet says to the proxy
	app     map[string]app
}

// app is an image with two variants, of amd64 and of amd64/v3.
type app struct {
	name, ref string
	repo      *stack.Repo
	index     ocispec.Descriptor
	manifests []ocispec.Descriptor
}

// kubeletSetup is a way to put imagefit in front of a kubelet.
type kubeletSetup struct {
	options func(socket string) stack.KubeletOptions
	keeper  string // of the tags of images
	calls   string // the golden file of what the kubelet calls
}

func kubeletSetups() map[string]kubeletSetup {
	inTurn := func(socket string) stack.KubeletOptions { return stack.KubeletOptions{ImageEndpoint: socket} }
	atOnce := map[string]any{"serializeImagePulls": false, "maxParallelImagePulls": 4}
	images := func(socket string) stack.KubeletOptions {
		return stack.KubeletOptions{ImageEndpoint: socket, Config: atOnce}
	}
	whole := func(socket string) stack.KubeletOptions {
		return stack.KubeletOptions{RuntimeEndpoint: socket, Config: atOnce}
	}
	return map[string]kubeletSetup{
		"image endpoint":          {inTurn, "runtime", "image-endpoint"},
		"whole endpoint":          {whole, "runtime", "whole-endpoint"},
		"names kept by the proxy": {images, "proxy", "image-endpoint"},
	}
}

// startNode starts all of it. The pods of a kubelet without an API server are
// static ones, which count here.
func startNode(t *testing.T, setup kubeletSetup) *node {
	t.Helper()
	requireKubelet(t)
	settings := keptBy(setup.keeper)
	settings.Policy = "exempt_static_pods = false"
	n := &node{app: map[string]app{}, fit: startFit(t, flagsV3, settings)}
	n.startPlugin(t)
	n.calls = startRecorder(t, n.containerd, "kubelet", n.Socket)
	n.options = setup.options(n.calls.socket)
	var err error
	n.kubelet, err = stack.StartKubelet(t.Context(), n.containerd, n.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the kubelet's log ends with\n%s", n.kubelet.Process.Tail(60))
		}
		if err := n.kubelet.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func requireKubelet(t *testing.T) {
	t.Helper()
	requireStack(t)
	if testing.Short() {
		t.Skip("-short: no kubelet")
	}
	if err := stack.KubeletUsable(); err != nil {
		t.Skipf("LEFT OUT: a second kubelet %v", err)
	}
}

// reconfigure restarts the kubelet with more in its configuration.
func (n *node) reconfigure(t *testing.T, config map[string]any) {
	t.Helper()
	options := n.options
	options.Config = map[string]any{}
	maps.Copy(options.Config, n.options.Config)
	maps.Copy(options.Config, config)
	if err := n.kubelet.Configure(options); err != nil {
		t.Fatal(err)
	}
	if err := n.kubelet.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// image pushes an app whose images have ids of their own.
func (n *node) image(t *testing.T, registry *stack.Registry, name string) app {
	t.Helper()
	images := variants("amd64", "amd64/v3")
	for i := range images {
		images[i].Variant += "-of-" + name
	}
	a := app{name: name, repo: registry.Repo(name)}
	var err error
	if a.index, a.manifests, err = a.repo.PushIndex(t.Context(), "1", images...); err != nil {
		t.Fatal(err)
	}
	a.ref = a.repo.Ref("1")
	n.app[name] = a
	return a
}

// add puts a pod of the app before the kubelet, named like it.
func (n *node) add(t *testing.T, a app, pod stack.StaticPod) {
	t.Helper()
	pod.Image = a.ref
	if pod.Name == "" {
		pod.Name = a.name
	}
	if err := n.kubelet.AddPod(pod); err != nil {
		t.Fatal(err)
	}
}

// await waits until the kubelet says of a pod what is wanted.
func (n *node) await(t *testing.T, name string, wanted func(stack.PodStatus) bool) stack.PodStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	status, err := n.kubelet.AwaitPod(ctx, name, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func running(s stack.PodStatus) bool { return s.Running }

func waiting(reason string) func(stack.PodStatus) bool {
	return func(s stack.PodStatus) bool { return s.Reason == reason }
}

// wantPod waits until a pod of the app runs and checks what runs there: the
// variant, its user, and what the kubelet shows as its image.
func (n *node) wantPod(t *testing.T, pod string, a app, variant string) stack.PodStatus {
	t.Helper()
	status := n.await(t, pod, running)
	got, err := n.containerd.CRI.WaitOutput(t.Context(), status.Container)
	if err != nil {
		t.Fatal(err)
	}
	if want := "variant=" + variant + "-of-" + a.name + " uid=1000"; got != want {
		t.Errorf("pod %s says %q, want %q", pod, got, want)
	}
	manifest := a.manifests[slices.Index([]string{"amd64", "amd64/v3"}, variant)]
	image := a.ref
	if strings.Contains(a.ref, "@") || n.byProxy && variant != "amd64" { // containerd has no tag to show then
		found, err := n.cri.Status(t.Context(), a.ref)
		if err != nil {
			t.Fatal(err)
		}
		image = found.GetId()
	}
	// Of an index that the runtime pulled by itself containerd has the digest of the index.
	imageID := a.repo.DigestRef(manifest)
	if variant == "amd64" {
		imageID = a.repo.DigestRef(a.index)
	}
	if status.Image != image || status.ImageID != imageID {
		t.Errorf("pod %s shows image %s, imageID %s, want %s and %s", pod, status.Image, status.ImageID, image, imageID)
	}
	return status
}

// recordsOf are containerd's records of an app, by any of its names.
func (n *node) recordsOf(t *testing.T, a app) map[string]digest.Digest {
	t.Helper()
	records := n.records(t)
	for name, target := range records {
		if target != a.manifests[0].Digest && target != a.manifests[1].Digest && !strings.Contains(name, "/"+a.name) {
			delete(records, name)
		}
	}
	return records
}
