package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// scene is a namespace of a cluster whose nodes are the test's own, with a registry.
type scene struct {
	*kubernetes.Clientset

	plane     *stack.ControlPlane
	objects   dynamic.Interface
	namespace string
	registry  *stack.Registry
	dir       string // of the controller's files
	process   *stack.Process
}

func newScene(t testing.TB) *scene {
	t.Helper()
	plane := requirePlane(t)
	client, err := kubernetes.NewForConfig(admin(plane))
	must(t, err)
	objects, err := dynamic.NewForConfig(admin(plane))
	must(t, err)
	registry, err := stack.NewRegistry()
	must(t, err)
	s := &scene{
		Clientset: client, plane: plane, objects: objects, registry: registry,
		namespace: strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())), dir: t.TempDir(),
	}
	s.namespace = s.namespace[:min(len(s.namespace), 60)]
	s.makeNamespace(t, s.namespace, map[string]string{"imagefit.dev/place": "true"})
	t.Cleanup(func() { s.clear(t) })
	return s
}

func (s *scene) makeNamespace(t testing.TB, name string, labels map[string]string) {
	t.Helper()
	_, err := s.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	must(t, err)
}

// clear removes what the test has made, for the next one to have the cluster for itself.
func (s *scene) clear(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // for ten thousand nodes
	defer cancel()
	if s.process != nil {
		if t.Failed() {
			t.Logf("the controller's log ends with\n%s", s.process.Tail(30))
		}
		if err := s.process.Stop(10 * time.Second); err != nil {
			t.Error(err)
		}
	}
	now := int64(0)
	every := metav1.DeleteOptions{GracePeriodSeconds: &now}
	namespaces, err := s.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	for _, n := range namespaces.Items {
		if err := s.CoreV1().Pods(n.Name).DeleteCollection(ctx, every, metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
	}
	if err := s.CoreV1().Nodes().DeleteCollection(ctx, every, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if err := s.objects.Resource(controller.NodeClasses()).DeleteCollection(ctx, every, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if err := s.objects.Resource(controller.Heartbeats()).DeleteCollection(ctx, every, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if err := awaitGating(ctx, s.Clientset, false); err != nil {
		t.Error(err)
	}
	if err := s.registry.Close(); err != nil {
		t.Error(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the controller under its own service account. settings are lines of TOML
// of the table [controller].
func (s *scene) start(t testing.TB, settings ...string) {
	t.Helper()
	config := s.configure(t, settings...)
	s.process = &stack.Process{
		Path: binary(t),
		Args: []string{"--config", config, "--kubeconfig", filepath.Join(s.plane.Dir, "controller.kubeconfig"), "--namespace", "imagefit"},
		Log:  filepath.Join(s.dir, "controller.log"),
	}
	must(t, s.process.Start())
	must(t, awaitGating(t.Context(), s.Clientset, true)) // it has the lease and knows the cluster
}

// configure writes the configuration of the controller and returns its path.
func (s *scene) configure(t testing.TB, settings ...string) string {
	t.Helper()
	if !slices.ContainsFunc(settings, func(line string) bool { return strings.HasPrefix(line, "timeout") }) {
		settings = append(settings, `timeout = "1m"`) // a busy machine is no slow registry
	}
	config := filepath.Join(s.dir, "config.toml")
	text := fmt.Sprintf("version = 1\nstate_dir = %q\nlog_format = \"text\"\n[controller]\nhttp_listen = \"unix://%s/http.sock\"\n%s\n",
		filepath.Join(s.dir, "state"), s.dir, strings.Join(settings, "\n"))
	must(t, os.WriteFile(config, []byte(text), 0o600))
	return config
}

// gate has pods gated without a controller, for a test that is over soon.
func (s *scene) gate(t testing.TB) {
	t.Helper()
	must(t, heartbeat(t.Context(), s.objects))
	must(t, awaitGating(t.Context(), s.Clientset, true))
}

// binary is the built controller.
func binary(t testing.TB) string {
	t.Helper()
	dir, err := stack.Binaries(t.Context(), filepath.Join(control.plane.Dir, "bin"))
	must(t, err)
	return filepath.Join(dir, "imagefit-controller")
}

// amx is a CPU feature that images of the tests ask for.
const amx = "AMXINT8"

// class makes the class of amd64 nodes of an x86-64 level, with more CPU features.
func (s *scene) class(t testing.TB, level int, flags ...string) nodeclass.Class {
	t.Helper()
	class := classOf(level, flags...)
	_, err := s.objects.Resource(controller.NodeClasses()).Create(t.Context(), classObject(t, class), metav1.CreateOptions{})
	must(t, err)
	return class
}

// classOf derives a class from facts as a node has them.
func classOf(level int, flags ...string) nodeclass.Class {
	features := facts.NewFeatures()
	features.Attributes["cpu.x86_64"] = map[string]string{"level": fmt.Sprint(level)}
	features.Flags["cpu.cpuid"] = append([]string{"SSE", "SSE2"}, flags...)
	return nodeclass.Of(facts.New("linux", "amd64", features), nil)
}

func classObject(t testing.TB, class nodeclass.Class) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(class.Facts)
	must(t, err)
	var known map[string]any
	must(t, json.Unmarshal(text, &known))
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "imagefit.dev/v1alpha1", "kind": "NodeClass",
		"metadata": map[string]any{"name": class.ID}, "spec": map[string]any{"facts": known},
	}}
}

// node makes a ready node; class is "" for one that has none.
func (s *scene) node(t testing.TB, name, arch, class string) {
	t.Helper()
	_, err := s.CoreV1().Nodes().Create(t.Context(), nodeObject(name, arch, class), metav1.CreateOptions{})
	must(t, err)
}

func nodeObject(name, arch, class string) *corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	labels := map[string]string{"kubernetes.io/arch": arch, "kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
	if class != "" {
		labels[nodeclass.Label] = class
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
			NodeInfo:   corev1.NodeSystemInfo{Architecture: arch, OperatingSystem: "linux"},
		},
	}
}

// push pushes an index of variants, such as amd64/v3 or arm64.
func (s *scene) push(t testing.TB, name string, variants ...string) (*stack.Repo, string, []ocispec.Descriptor) {
	t.Helper()
	var images []stack.Image
	for _, v := range variants {
		arch, variant, _ := strings.Cut(v, "/")
		images = append(images, stack.Image{Variant: v + "-of-" + name, Platform: ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}})
	}
	repo := s.registry.Repo(name)
	_, pushed, err := repo.PushIndex(t.Context(), "1", images...)
	must(t, err)
	return repo, repo.Ref("1"), pushed
}

// needs attaches an artifact to a variant.
func needs(t testing.TB, repo *stack.Repo, subject ocispec.Descriptor, attributes string) {
	t.Helper()
	body := fmt.Sprintf(`{"compatibilities": {"nfd": {%s}}}`, attributes)
	_, err := repo.Attach(t.Context(), subject, stack.Artifact{Body: []byte(body)})
	must(t, err)
}

// podObject is a pod of images.
func podObject(name string, images ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	return pod
}

// create creates a pod in the scene's namespace.
func (s *scene) create(t testing.TB, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	return s.createIn(t, s.namespace, pod)
}

func (s *scene) createIn(t testing.TB, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := s.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	must(t, err)
	return created
}

// place creates a pod and waits until it is not gated any more.
func (s *scene) place(t testing.TB, name, ref string) *corev1.Pod {
	t.Helper()
	s.create(t, podObject(name, ref))
	return s.await(t, name, "ungated", func(p *corev1.Pod) bool { return !gated(p) })
}

// patience is how long a test waits for what takes well under a second on a machine with
// nothing else to do.
const patience = 2 * time.Minute

// await waits until a pod is as wanted.
func (s *scene) await(t testing.TB, name, what string, wanted func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		pod, err := s.CoreV1().Pods(s.namespace).Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		if wanted(pod) {
			return pod
		}
		if time.Since(start) > patience {
			text, _ := json.MarshalIndent(pod.Status, "", " ")
			t.Fatalf("pod %s is not %s: gates %v, node %q, affinity %+v, status %s", name, what, pod.Spec.SchedulingGates, pod.Spec.NodeName, pod.Spec.Affinity, text)
		}
	}
}

func (s *scene) awaitNode(t testing.TB, name string) *corev1.Pod {
	t.Helper()
	return s.await(t, name, "scheduled", func(p *corev1.Pod) bool { return p.Spec.NodeName != "" })
}

func gated(p *corev1.Pod) bool { return len(p.Spec.SchedulingGates) > 0 }

// condition returns a condition of a pod, nil where it has none of the type.
func condition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// awaitFits waits for the condition of a pod.
func (s *scene) awaitFits(t testing.TB, pod string, status corev1.ConditionStatus, message string) {
	t.Helper()
	s.await(t, pod, fmt.Sprintf("in condition %s with %q", status, message), func(p *corev1.Pod) bool {
		c := condition(p, controller.Condition)
		return c != nil && c.Status == status && c.Message == message
	})
}

// awaitEvent waits for an event of a pod with the reason and returns its message.
func (s *scene) awaitEvent(t testing.TB, pod, reason string) string {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(50 * time.Millisecond) {
		list, err := s.CoreV1().Events(s.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod + ",reason=" + reason})
		must(t, err)
		if len(list.Items) > 0 {
			return list.Items[0].Message
		}
	}
	t.Fatalf("pod %s has no event %s", pod, reason)
	return ""
}

func getOptions() metav1.GetOptions { return metav1.GetOptions{} }

func arm64Image() stack.Image {
	return stack.Image{Variant: "arm64-single", Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}}
}
