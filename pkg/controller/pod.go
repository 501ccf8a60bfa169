package controller

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/policy"
)

// imagesOf are the images that the containers of a pod run, each once. Image volumes are
// not among them: what is in one need not run.
func imagesOf(pod *corev1.Pod, withSecrets bool) []image {
	var all []image
	secrets := ""
	if withSecrets && len(pod.Spec.ImagePullSecrets) > 0 {
		var names []string
		for _, s := range pod.Spec.ImagePullSecrets {
			names = append(names, s.Name)
		}
		secrets = pod.Namespace + "/" + strings.Join(names, ",")
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range containers {
			if i := (image{c.Image, secrets}); !slices.Contains(all, i) {
				all = append(all, i)
			}
		}
	}
	return all
}

// podOf is the pod as policies know it.
func podOf(pod *corev1.Pod) policy.Pod {
	return policy.Pod{Namespace: pod.Namespace, Annotations: pod.Annotations}
}

// stripPod leaves of a pod what the controller reads. It runs for each pod that enters
// the informer's cache.
func stripPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	stripped := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		CreationTimestamp: pod.CreationTimestamp,
	}}
	if !hasGate(pod) && !fitsNowhere(pod) {
		return stripped, nil
	}
	if pod.Annotations != nil { // patchOf has to know
		stripped.Annotations = map[string]string{}
	}
	if mode, ok := pod.Annotations[policy.ModeAnnotation]; ok {
		stripped.Annotations[policy.ModeAnnotation] = mode
	}
	if fitsNowhere(pod) {
		stripped.Annotations[placedAnnotation] = string(noneFit)
	}
	if now := conditionOf(pod); now != nil {
		stripped.Status.Conditions = []corev1.PodCondition{*now}
	}
	stripped.Spec = corev1.PodSpec{
		SchedulingGates: pod.Spec.SchedulingGates, Affinity: pod.Spec.Affinity, ImagePullSecrets: pod.Spec.ImagePullSecrets,
		InitContainers: stripContainers(pod.Spec.InitContainers), Containers: stripContainers(pod.Spec.Containers),
	}
	return stripped, nil
}

func stripContainers(containers []corev1.Container) []corev1.Container {
	stripped := make([]corev1.Container, len(containers))
	for i, c := range containers {
		stripped[i].Image = c.Image
	}
	return stripped
}

// stripNode leaves of a node what the controller reads.
func stripNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	stripped := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion}}
	kind := kindOf(node)
	stripped.Labels = map[string]string{ClassLabel: kind.class, osLabel: kind.os, archLabel: kind.arch}
	return stripped, nil
}
