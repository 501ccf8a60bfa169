package controller

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// operation is one of a JSON patch (RFC 6902). It adds to lists in place, so that what
// this version of Kubernetes' types does not know of the pod stays as it is.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

const (
	affinityPath  = "/spec/affinity"
	nodePath      = affinityPath + "/nodeAffinity"
	requiredPath  = nodePath + "/requiredDuringSchedulingIgnoredDuringExecution"
	preferredPath = nodePath + "/preferredDuringSchedulingIgnoredDuringExecution"
)

// hasGate reports whether the pod waits for the controller.
func hasGate(pod *corev1.Pod) bool { return gateOf(pod) >= 0 }

func gateOf(pod *corev1.Pod) int {
	for i, g := range pod.Spec.SchedulingGates {
		if g.Name == Gate {
			return i
		}
	}
	return -1
}

// patchOf adds the terms to the pod's affinity, notes the result and removes the gate, in
// one request. It applies to this version of the pod only.
func patchOf(pod *corev1.Pod, t terms, r result) ([]byte, error) {
	// The API server answers with a conflict where the version is another one by now.
	patch := []operation{{"replace", "/metadata/resourceVersion", pod.ResourceVersion}}
	if pod.Annotations == nil {
		patch = append(patch, operation{"add", "/metadata/annotations", map[string]string{placedAnnotation: string(r)}})
	} else {
		patch = append(patch, operation{"add", "/metadata/annotations/" + strings.ReplaceAll(placedAnnotation, "/", "~1"), string(r)})
	}
	patch = append(patch, affinityPatch(pod.Spec.Affinity, t)...)
	gate := fmt.Sprintf("/spec/schedulingGates/%d", gateOf(pod))
	patch = append(patch, operation{"test", gate + "/name", Gate}, operation{Op: "remove", Path: gate})
	return json.Marshal(patch)
}

func affinityPatch(existing *corev1.Affinity, t terms) []operation {
	if len(t.required)+len(t.preferred) == 0 {
		return nil
	}
	if existing == nil {
		return []operation{{"add", affinityPath, corev1.Affinity{NodeAffinity: newAffinity(t)}}}
	}
	node := existing.NodeAffinity
	if node == nil {
		return []operation{{"add", nodePath, newAffinity(t)}}
	}
	var patch []operation
	if len(t.required) > 0 {
		patch = append(patch, requiredPatch(node.RequiredDuringSchedulingIgnoredDuringExecution, t.required)...)
	}
	if len(t.preferred) > 0 && len(node.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		return append(patch, operation{"add", preferredPath, t.preferred})
	}
	for _, term := range t.preferred {
		patch = append(patch, operation{"add", preferredPath + "/-", term})
	}
	return patch
}

// requiredPatch adds the requirements to every term: of these, one has to match.
func requiredPatch(existing *corev1.NodeSelector, required []corev1.NodeSelectorRequirement) []operation {
	if existing == nil {
		return []operation{{"add", requiredPath, newSelector(required)}}
	}
	var patch []operation
	for i, term := range existing.NodeSelectorTerms {
		path := fmt.Sprintf("%s/nodeSelectorTerms/%d/matchExpressions", requiredPath, i)
		switch {
		case len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0:
			// It matches no node, and would match some with a requirement in it.
		case len(term.MatchExpressions) == 0:
			patch = append(patch, operation{"add", path, required})
		default:
			for _, r := range required {
				patch = append(patch, operation{"add", path + "/-", r})
			}
		}
	}
	return patch
}

func newAffinity(t terms) *corev1.NodeAffinity {
	a := &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: t.preferred}
	if len(t.required) > 0 {
		a.RequiredDuringSchedulingIgnoredDuringExecution = newSelector(t.required)
	}
	return a
}

func newSelector(required []corev1.NodeSelectorRequirement) *corev1.NodeSelector {
	return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: required}}}
}
