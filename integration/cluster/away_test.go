package cluster

import (
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/controller"
)

// TestPodsDoNotWaitForAControllerThatIsNotThere: before one has ever run, and after it has
// hung, pods are created without the gate and scheduled.
func TestPodsDoNotWaitForAControllerThatIsNotThere(t *testing.T) {
	s := newScene(t)
	s.node(t, "x86", "amd64", "")
	s.node(t, "arm", "arm64", "")
	_, ref, _ := s.push(t, "arm", "arm64")
	_ = s.objects.Resource(controller.Heartbeats()).Delete(t.Context(), controller.Program, metav1.DeleteOptions{}) // unless it is not there
	must(t, awaitGating(t.Context(), s.Clientset, false))
	if pod := s.create(t, podObject("never", ref)); gated(pod) {
		t.Error("gated, though no controller has ever run")
	}
	s.awaitNode(t, "never")

	s.start(t)
	must(t, syscall.Kill(s.process.Pid(), syscall.SIGSTOP))
	if pod := s.create(t, podObject("between", ref)); !gated(pod) {
		t.Fatal("not gated a moment after the controller hung") // or the machine slept for half a minute
	}
	must(t, awaitGating(t.Context(), s.Clientset, false)) // 30 seconds later
	if pod := s.create(t, podObject("after", ref)); gated(pod) {
		t.Error("gated by a controller that hangs")
	}
	s.awaitNode(t, "after")

	must(t, s.process.Kill())
	must(t, s.process.Start())
	if pod := s.awaitNode(t, "between"); pod.Spec.NodeName != "arm" {
		t.Errorf("the pod that waited for the controller is on %s", pod.Spec.NodeName)
	}
	must(t, awaitGating(t.Context(), s.Clientset, true))
}
