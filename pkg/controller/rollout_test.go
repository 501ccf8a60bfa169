package controller

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// rolloutPods makes pods of nodes in their order: r is ready, w works, f failed, p does not run.
func rolloutPods(states string) (pods []corev1.Pod) {
	for i, state := range states {
		var pod corev1.Pod
		pod.Name, pod.Spec.NodeName = fmt.Sprintf("pod-%d", 9-i), fmt.Sprintf("node-%d", i)
		pod.Status.Phase = corev1.PodRunning
		switch state {
		case 'r':
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		case 'f':
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{LastTerminationState: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: ExitInstallFailed, Message: "the kubelet did not start"},
			}}}
		case 'p':
			pod.Status.Phase = corev1.PodPending
		}
		pods = append(pods, pod)
	}
	return pods
}

func TestNodesAreSetUpInOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		states           string
		canary, parallel int
		begin            string // the nodes that may begin, of those that work
		waits            string // what the last node waits for
	}{
		"the first":                {"wwww", 1, 2, "0", "the first 1 nodes come first, of which node-0 is not done"},
		"the canaries at once":     {"wwww", 2, 2, "01", "the first 2 nodes come first, of which node-0 is not done"},
		"the canaries one by one":  {"wwww", 2, 1, "0", "the first 2 nodes come first"},
		"the second canary":        {"rwww", 2, 1, "1", "the first 2 nodes come first, of which node-1 is not done"},
		"after the canaries":       {"rrwwww", 2, 2, "23", "2 nodes at once are set up, now node-2"},
		"one is done":              {"rrrwww", 2, 2, "34", "2 nodes at once"},
		"no canary, none at once":  {"www", 0, 0, "0", "1 nodes at once"},
		"a canary failed":          {"fwww", 1, 2, "", "it failed on node node-0, and no more nodes are set up until its pod pod-9 is deleted: the kubelet did not start"},
		"a later one failed":       {"rrfww", 2, 2, "", "it failed on node node-2"},
		"a node is away":           {"pwww", 1, 1, "1", "the first 1 nodes come first, of which node-1 is not done"},
		"more canaries than nodes": {"rrw", 9, 1, "2", ""},
	} {
		pods, waits := rolloutPods(test.states), ""
		var begin strings.Builder
		r := Rollout{Canary: test.canary, Parallel: test.parallel}
		for i, state := range test.states {
			if state != 'w' && state != 'f' {
				continue
			}
			var ok bool
			if ok, waits = r.mayBegin(pods[i].Name, pods); ok {
				_, _ = fmt.Fprint(&begin, i)
			}
		}
		if begin.String() != test.begin || !strings.HasPrefix(waits, test.waits) {
			t.Errorf("%s: %q may begin, the last waits for %q", name, &begin, waits)
		}
	}
	if ok, waits := (Rollout{}).mayBegin("pod-of-none", rolloutPods("r")); ok || waits != "its own pod is not listed yet" {
		t.Errorf("a pod that is not listed: %t, %s", ok, waits)
	}
}
