package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// TestPodsAreScheduledWithoutTheRegistry: nothing that a registry does keeps a pod gated.
func TestPodsAreScheduledWithoutTheRegistry(t *testing.T) {
	s := newScene(t)
	class := s.class(t, 3)
	s.node(t, "n", "amd64", class.ID)
	_, known, _ := s.push(t, "known", "amd64/v3")
	_, hanging, _ := s.push(t, "hanging", "amd64/v3")
	_, failing, _ := s.push(t, "failing", "amd64/v3")
	s.registry.Inject(stack.Fault{Path: "/hanging/", Hang: true})
	s.registry.Inject(stack.Fault{Path: "/failing/", Status: 500})
	s.start(t, `timeout = "1s"`, `resolve_ttl = "1ms"`)
	s.place(t, "before", known)
	s.registry.Inject(stack.Fault{Path: "/known/", Status: 503})
	pods := map[string]string{
		"hanging": hanging, "failing": failing, "absent": s.registry.Host + "/absent:1",
		"down": "127.0.0.1:1/app:1", "invalid": "UPPER/Case:1",
	}
	for name, ref := range pods {
		s.create(t, podObject(name, ref))
	}
	for name, ref := range pods {
		pod := s.await(t, name, "told", func(p *corev1.Pod) bool { return condition(p, "imagefit.dev/Fits") != nil })
		c := condition(pod, "imagefit.dev/Fits")
		want := "imagefit: what the pod needs cannot be found out, scheduling it without: " + ref + ": "
		if c.Status != corev1.ConditionUnknown || c.Reason != "ImagefitUndecided" || !strings.HasPrefix(c.Message, want) {
			t.Errorf("%s: condition %+v, want %q", name, c, want)
		}
		s.awaitNode(t, name)
		if message := s.awaitEvent(t, name, "ImagefitUndecided"); message != c.Message {
			t.Errorf("%s: event %q", name, message)
		}
	}
	// What was known of an image is used while its registry fails.
	if pod := s.place(t, "after", known); pod.Annotations["imagefit.dev/placed"] != "placed" {
		t.Errorf("a known image: %v", pod.Annotations)
	}
}

// TestPrivateImagesAreReadWithTheCredentialsThatMayBeUsed: the controller's own, and those
// of the pod where that is wanted.
func TestPrivateImagesAreReadWithTheCredentialsThatMayBeUsed(t *testing.T) {
	s := newScene(t)
	class := s.class(t, 1)
	s.node(t, "n", "amd64", class.ID)
	_, ref, _ := s.push(t, "app", "amd64/v3")
	s.registry.RequireBasic(map[string]stack.User{"robot": {Password: "hunter2"}, "team": {Password: "swordfish"}})
	login := func(user, password string) string {
		return fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": %q}}}`, s.registry.Host, user, password)
	}
	_, err := s.CoreV1().Secrets(s.namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(login("team", "swordfish"))},
	}, metav1.CreateOptions{})
	must(t, err)
	robot := filepath.Join(s.dir, "robot.json")
	must(t, os.WriteFile(robot, []byte(login("robot", "hunter2")), 0o600))
	for i, test := range []struct {
		name, settings string
		secrets, role  bool
		want           string
	}{
		{"anonymous", ``, true, false, "undecided"},
		{"robot", fmt.Sprintf("credentials = %q", robot), false, false, "none_fits"},
		{"secret without a role", `pull_secrets = true`, true, false, "undecided"},
		{"secret", `pull_secrets = true`, true, true, "none_fits"},
		{"no secret", `pull_secrets = true`, false, true, "undecided"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.role {
				s.applyComponent(t, "pull-secrets")
			}
			s.start(t, test.settings)
			name := fmt.Sprintf("pod-%d", i)
			pod := podObject(name, ref)
			if test.secrets {
				pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "absent"}, {Name: "pull"}}
			}
			s.create(t, pod)
			pod = s.await(t, name, "ungated", func(p *corev1.Pod) bool { return !gated(p) })
			if got := pod.Annotations["imagefit.dev/placed"]; got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			must(t, s.process.Stop(10*time.Second))
			if log := s.process.Tail(1000); strings.Contains(log, "hunter2") || strings.Contains(log, "swordfish") {
				t.Errorf("the log shows a password:\n%s", log)
			}
		})
	}
	must(t, s.RbacV1().ClusterRoleBindings().Delete(t.Context(), "imagefit-controller-pull-secrets", metav1.DeleteOptions{}))
}

// TestControllerKilledAtAnyMomentLeavesNoPodGated kills it ten times while pods come.
func TestControllerKilledAtAnyMomentLeavesNoPodGated(t *testing.T) {
	s := newScene(t)
	old, good := s.class(t, 1), s.class(t, 3)
	for i := range 10 {
		s.node(t, fmt.Sprintf("old-%d", i), "amd64", old.ID)
		s.node(t, fmt.Sprintf("good-%d", i), "amd64", good.ID)
	}
	var refs []string
	for i := range 5 {
		_, ref, _ := s.push(t, fmt.Sprintf("app%d", i), "amd64/v3")
		refs = append(refs, ref)
	}
	const pods = 60
	s.start(t)
	for i := range pods {
		s.create(t, podObject(fmt.Sprintf("pod-%d", i), refs[i%len(refs)]))
		if i%6 == 5 { // a moment later in each round
			time.Sleep(time.Duration(i) * 5 * time.Millisecond)
			must(t, s.process.Kill())
			must(t, s.process.Start())
			// The lease of the killed one would keep the next waiting, as in a cluster with one instance.
			_ = s.CoordinationV1().Leases("imagefit").Delete(t.Context(), "imagefit-controller", metav1.DeleteOptions{}) // unless it was killed before
		}
	}
	for i := range pods {
		pod := s.awaitNode(t, fmt.Sprintf("pod-%d", i))
		if !strings.HasPrefix(pod.Spec.NodeName, "good-") || pod.Annotations["imagefit.dev/placed"] != "placed" {
			t.Errorf("pod %d is on %s, %v", i, pod.Spec.NodeName, pod.Annotations)
		}
		terms := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
		if len(terms) != 1 || len(terms[0].MatchExpressions) != 2 {
			t.Errorf("pod %d has the terms %+v", i, terms)
		}
	}
}

// TestTheOtherInstanceReplacesTheFirst: of two, one places pods; when it ends, the other does.
func TestTheOtherInstanceReplacesTheFirst(t *testing.T) {
	s := newScene(t)
	s.node(t, "n", "amd64", "")
	_, ref, _ := s.push(t, "app", "amd64")
	s.start(t)
	s.place(t, "first", ref)
	second := *s
	second.dir = t.TempDir()
	second.start(t)
	must(t, s.process.Stop(10*time.Second)) // gives the lease back
	s.process = second.process
	second.place(t, "second", ref)
}

// TestUngateFreesEveryPodAndEndsGating runs without a controller, as where it cannot run.
func TestUngateFreesEveryPodAndEndsGating(t *testing.T) {
	s := newScene(t)
	s.node(t, "n", "amd64", "")
	s.gate(t)
	other := podObject("other", "app:1")
	other.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
	s.create(t, other)
	for i := range 20 {
		if pod := s.create(t, podObject(fmt.Sprintf("pod-%d", i), "app:1")); !gated(pod) {
			t.Fatal("not gated")
		}
	}
	ungate := func(args ...string) string {
		t.Helper()
		args = append([]string{"ungate", "--kubeconfig", filepath.Join(s.plane.Dir, "admin.kubeconfig")}, args...)
		out, err := exec.CommandContext(t.Context(), binary(t), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := ungate("-n", "elsewhere"); out != "released 0 pods\n" {
		t.Errorf("of another namespace: %s", out)
	}
	binding, err := s.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Get(t.Context(), "imagefit-gate", getOptions())
	must(t, err)
	out := ungate("--all")
	for _, want := range []string{"no more pods are gated", "released pod " + s.namespace + "/pod-7\n", "released 21 pods\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q lacks %q", out, want)
		}
	}
	for i := range 20 {
		s.awaitNode(t, fmt.Sprintf("pod-%d", i))
	}
	pod, err := s.CoreV1().Pods(s.namespace).Get(t.Context(), "other", getOptions())
	must(t, err)
	if len(pod.Spec.SchedulingGates) != 1 || pod.Spec.SchedulingGates[0].Name != "example.com/quota" {
		t.Errorf("the gate of another: %v", pod.Spec.SchedulingGates)
	}
	must(t, awaitGating(t.Context(), s.Clientset, false))
	binding.ResourceVersion, binding.UID = "", "" // for the other tests
	_, err = s.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)
	s.gate(t)
}

// TestDriftOfANodeIsToldToItsPods: the class of a node changes under a pod.
func TestDriftOfANodeIsToldToItsPods(t *testing.T) {
	s := newScene(t)
	good, old := s.class(t, 3), s.class(t, 2)
	s.node(t, "n", "amd64", good.ID)
	_, ref, _ := s.push(t, "app", "amd64/v3")
	_, plain, _ := s.push(t, "plain", "amd64")
	s.start(t)
	s.create(t, podObject("app", ref))
	s.create(t, podObject("plain", plain))
	s.awaitNode(t, "app")
	s.awaitNode(t, "plain")
	patch := fmt.Sprintf(`{"metadata": {"labels": {%q: %q}}}`, nodeclass.Label, old.ID)
	_, err := s.CoreV1().Nodes().Patch(t.Context(), "n", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	message := s.awaitEvent(t, "app", "ImagefitDrifted")
	if !strings.HasPrefix(message, "imagefit: node n no longer fits: no variant of "+ref) {
		t.Errorf("event %q", message)
	}
	pod := s.await(t, "app", "told", func(p *corev1.Pod) bool { return condition(p, "imagefit.dev/Fits") != nil })
	if c := condition(pod, "imagefit.dev/Fits"); c.Status != corev1.ConditionFalse || c.Message != message || pod.DeletionTimestamp != nil {
		t.Errorf("condition %+v", c)
	}
	pod, err = s.CoreV1().Pods(s.namespace).Get(t.Context(), "plain", getOptions())
	must(t, err)
	if condition(pod, "imagefit.dev/Fits") != nil {
		t.Error("a pod that still fits was told")
	}
	patch = fmt.Sprintf(`{"metadata": {"labels": {%q: %q}}}`, nodeclass.Label, good.ID)
	_, err = s.CoreV1().Nodes().Patch(t.Context(), "n", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	s.awaitFits(t, "app", corev1.ConditionTrue, "imagefit: the pod fits node n")
}
