package cluster

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestAnotherConfigurationIsUsedWithoutARestart, as when a ConfigMap changes; one with a
// mistake changes nothing.
func TestAnotherConfigurationIsUsedWithoutARestart(t *testing.T) {
	s := newScene(t)
	class := s.class(t, 3)
	s.node(t, "n", "amd64", class.ID)
	_, ref, _ := s.push(t, "app", "amd64")
	s.start(t)
	process := s.process.Pid()
	s.configure(t, `strict = "perhaps"`)
	s.awaitLog(t, "configuration reload failed", 1)
	if pod := s.place(t, "before", ref); usesClassIn(pod) {
		t.Errorf("affinity %+v", pod.Spec.Affinity)
	}
	s.configure(t, `strict = true`)
	s.awaitLog(t, "placing pods", 2)
	must(t, awaitGating(t.Context(), s.Clientset, true))
	if pod := s.place(t, "after", ref); !usesClassIn(pod) {
		t.Errorf("strict has no effect: affinity %+v", pod.Spec.Affinity)
	}
	if s.process.Pid() != process || !s.process.Running() {
		t.Error("the program has ended")
	}
}

// usesClassIn reports whether the pod requires a class.
func usesClassIn(pod *corev1.Pod) bool {
	if pod.Spec.Affinity == nil {
		return false
	}
	for _, r := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions {
		if r.Key == "imagefit.dev/class" && r.Operator == corev1.NodeSelectorOpIn {
			return true
		}
	}
	return false
}

// awaitLog waits until the controller has logged a message so often.
func (s *scene) awaitLog(t *testing.T, message string, times int) {
	t.Helper()
	for start := time.Now(); strings.Count(s.process.Tail(1000), message) < times; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("the log does not have %q %d times", message, times)
		}
	}
}
