package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// Policy is the name of the admission policy that adds the gate, and of its binding.
	Policy = "imagefit-gate"
	// page is how many pods are listed at once.
	page = 500
)

// RemovePolicy removes the binding of the admission policy, so that no more pods are
// gated. It reports whether there was one.
func RemovePolicy(ctx context.Context, client kubernetes.Interface) (bool, error) {
	err := client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Delete(ctx, Policy, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove the binding of the admission policy %s: %w", Policy, err)
	}
	return true, nil
}

// Ungate removes the gate from every pod of a namespace, or of all where it is "". It
// tries every pod and calls released for each that is free; the error tells of the rest.
func Ungate(ctx context.Context, client kubernetes.Interface, namespace string, released func(pod string)) error {
	options := metav1.ListOptions{FieldSelector: "spec.nodeName=", Limit: page}
	var failures []error
	for {
		list, err := client.CoreV1().Pods(namespace).List(ctx, options)
		if err != nil {
			return errors.Join(append(failures, fmt.Errorf("list pods: %w", err))...)
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if !hasGate(pod) {
				continue
			}
			if err := ungate(ctx, client, pod); err != nil {
				failures = append(failures, fmt.Errorf("remove the gate of pod %s: %w", keyOf(pod), err))
				continue
			}
			released(keyOf(pod))
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return errors.Join(failures...)
		}
	}
}

// ungateTries bounds how often a pod is read again that others write meanwhile.
const ungateTries = 5

func ungate(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) error {
	for try := 1; ; try++ {
		path := fmt.Sprintf("/spec/schedulingGates/%d", gateOf(pod))
		patch, err := json.Marshal([]operation{
			{"replace", "/metadata/resourceVersion", pod.ResourceVersion}, {"test", path + "/name", Gate}, {Op: "remove", Path: path},
		})
		if err != nil {
			return err
		}
		_, err = client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: Program})
		switch {
		case err == nil, apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsConflict(err) || try == ungateTries:
			return err
		}
		pod, err = client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && !hasGate(pod):
			return nil
		case err != nil:
			return err
		}
	}
}
