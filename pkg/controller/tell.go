package controller

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tell writes what was done into the pod's events, and into a condition where the pod
// may not run or could not be decided about.
func (c *Controller) tell(ctx context.Context, pod *corev1.Pod, o outcome) {
	kind, reason, status := corev1.EventTypeNormal, reasonPlaced, corev1.ConditionTrue
	switch o.result {
	case noneFit:
		kind, reason, status = corev1.EventTypeWarning, reasonNoneFits, corev1.ConditionFalse
	case undecided, rejected:
		kind, reason, status = corev1.EventTypeWarning, reasonUndecided, corev1.ConditionUnknown
	}
	c.events.Event(referenceTo(pod), kind, reason, o.message)
	if status == corev1.ConditionTrue {
		return
	}
	err := c.setCondition(ctx, pod, status, reason, o.message)
	if err != nil && !apierrors.IsNotFound(err) {
		c.log.Warn("cannot set the condition of the pod", "pod", keyOf(pod), "error", err)
	}
}

// referenceTo is the pod as events name it.
func referenceTo(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

// setCondition sets the condition of a pod, beside those of others.
func (c *Controller) setCondition(ctx context.Context, pod *corev1.Pod, status corev1.ConditionStatus, reason, message string) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": map[string]any{"conditions": []corev1.PodCondition{{
			Type: Condition, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now(),
		}}},
	})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{FieldManager: Program}, "status")
	return err
}
