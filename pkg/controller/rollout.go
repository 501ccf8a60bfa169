package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// ExitInstallFailed is the exit code of an installer whose installation failed and was
// taken back. Others see it in the status of its pod, and begin no more.
const ExitInstallFailed = 3

// Rollout is the order in which the pods of a DaemonSet set their nodes up. All of it is
// read from the status of the pods, which the kubelets write: a pod that is ready has set
// its node up, and one whose container exited with [ExitInstallFailed] has failed.
type Rollout struct {
	Client    kubernetes.Interface
	Namespace string
	Name      string // of the DaemonSet, by the label app.kubernetes.io/name of its pods
	Canary    int    // so many nodes first, all of them before any other
	Parallel  int    // so many nodes at once
}

// MayBegin returns whether the node of a pod may be set up now, and what it waits for.
func (r Rollout) MayBegin(ctx context.Context, pod string) (bool, string, error) {
	list, err := r.Client.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{"app.kubernetes.io/name": r.Name}.String(),
	})
	if err != nil {
		return false, "", fmt.Errorf("list the pods of %s: %w", r.Name, err)
	}
	ok, waits := r.mayBegin(pod, list.Items)
	return ok, waits, nil
}

// mayBegin decides by the nodes that come before this one, in the order of their names: so all
// pods agree, and none waits for one that waits for it. Pods that do not run, as on a node
// that is away, keep no other waiting.
func (r Rollout) mayBegin(pod string, pods []corev1.Pod) (bool, string) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		return p.Name != pod && (p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil)
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Spec.NodeName, b.Spec.NodeName), cmp.Compare(a.Name, b.Name))
	})
	for i := range pods {
		if message, failed := failedOn(&pods[i]); failed {
			return false, fmt.Sprintf("it failed on node %s, and no more nodes are set up until its pod %s is deleted: %s", pods[i].Spec.NodeName, pods[i].Name, message)
		}
	}
	before := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == pod })
	if before < 0 {
		return false, "its own pod is not listed yet"
	}
	var unfinished []string
	for i := range pods[:before] {
		if !isReady(&pods[i]) {
			unfinished = append(unfinished, pods[i].Spec.NodeName)
		}
		if i == r.Canary-1 && len(unfinished) > 0 {
			return false, fmt.Sprintf("the first %d nodes come first, of which %s is not done", r.Canary, unfinished[0])
		}
	}
	if len(unfinished) >= max(1, r.Parallel) {
		return false, fmt.Sprintf("%d nodes at once are set up, now %s", max(1, r.Parallel), unfinished[0])
	}
	return true, ""
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// failedOn tells whether the last installation of a pod failed, and what it left as its
// last words.
func failedOn(pod *corev1.Pod) (string, bool) {
	if isReady(pod) {
		return "", false
	}
	for _, c := range pod.Status.ContainerStatuses {
		for _, ended := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if ended != nil && ended.ExitCode == ExitInstallFailed {
				return ended.Message, true
			}
		}
	}
	return "", false
}

// Done returns whether all nodes have a pod of the DaemonSet that is ready, and else
// what is missing.
func (r Rollout) Done(ctx context.Context) (bool, string, error) {
	set, err := r.Client.AppsV1().DaemonSets(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return false, "", fmt.Errorf("look at the DaemonSet %s: %w", r.Name, err)
	}
	s := set.Status
	if s.ObservedGeneration < set.Generation {
		return false, "the DaemonSet has no pods yet", nil
	}
	return s.NumberReady == s.DesiredNumberScheduled, fmt.Sprintf("%d of %d nodes are done", s.NumberReady, s.DesiredNumberScheduled), nil
}
