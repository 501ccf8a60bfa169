package cluster

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/controller"
)

// TestPolicyGatesPodsOfNamespacesThatWantIt runs without a controller.
func TestPolicyGatesPodsOfNamespacesThatWantIt(t *testing.T) {
	s := newScene(t)
	s.gate(t)
	s.makeNamespace(t, s.namespace+"-not", nil)
	s.makeNamespace(t, s.namespace+"-off", map[string]string{"imagefit.dev/place": "false"})
	yes := true
	daemon := podObject("daemon", "app:1")
	daemon.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "d", UID: "u", Controller: &yes}}
	replica := podObject("replica", "app:1")
	replica.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", UID: "u", Controller: &yes}}
	bound := podObject("bound", "app:1")
	bound.Spec.NodeName = "somewhere"
	other := podObject("gated-by-another", "app:1")
	other.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
	twice := podObject("gated-already", "app:1")
	twice.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: controller.Gate}}
	for _, test := range []struct {
		name, namespace string
		pod             *corev1.Pod
		want            []string
	}{
		{"a pod", s.namespace, podObject("plain", "app:1"), []string{controller.Gate}},
		{"of a ReplicaSet", s.namespace, replica, []string{controller.Gate}},
		{"with the gate of another", s.namespace, other, []string{"example.com/quota", controller.Gate}},
		{"with the gate", s.namespace, twice, []string{controller.Gate}},
		{"of a DaemonSet", s.namespace, daemon, nil},
		{"with a node", s.namespace, bound, nil},
		{"of a namespace without the label", s.namespace + "-not", podObject("plain", "app:1"), nil},
		{"of a namespace that does not want it", s.namespace + "-off", podObject("plain", "app:1"), nil},
		{"of kube-system", "kube-system", podObject("plain", "app:1"), nil},
		{"of the controller's own namespace", "imagefit", restricted(podObject("plain", "app:1")), nil},
	} {
		var got []string
		pod := s.createIn(t, test.namespace, test.pod)
		for _, gate := range pod.Spec.SchedulingGates {
			got = append(got, gate.Name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: gates %v, want %v", test.name, got, test.want)
		}
	}
}

// restricted makes a pod one that the namespace of the controller allows.
func restricted(pod *corev1.Pod) *corev1.Pod {
	yes, no := true, false
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	return pod
}
