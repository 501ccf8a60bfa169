package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/imagefit/imagefit/pkg/controller"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// TestNodesAreLabelledByWhatNFDTellsOfThem: nothing of imagefit runs on the nodes.
func TestNodesAreLabelledByWhatNFDTellsOfThem(t *testing.T) {
	s := newScene(t)
	s.serveNodeFeatures(t)
	s.applyComponent(t, "node-features")
	own := s.class(t, 1)
	for _, name := range []string{"amx-1", "amx-2", "plain"} {
		s.node(t, name, "amd64", "")
		flags := `"SSE": {}, "SSE2": {}`
		if strings.HasPrefix(name, "amx") {
			flags += `, "AMXINT8": {}`
		}
		s.nodeFeature(t, name, flags)
	}
	s.node(t, "reports-itself", "amd64", "")
	s.nodeFeature(t, "reports-itself", `"SSE": {}, "AMXINT8": {}`)
	label := fmt.Sprintf(`{"metadata": {"labels": {%q: %q}}}`, nodeclass.Label, own.ID)
	_, err := s.CoreV1().Nodes().Patch(t.Context(), "reports-itself", types.MergePatchType, []byte(label), metav1.PatchOptions{FieldManager: "imagefit-nodes"})
	must(t, err)
	repo, ref, pushed := s.push(t, "app", "amd64")
	needs(t, repo, pushed[0], `"cpu-cpuid.AMXINT8": true`)
	s.start(t, "node_features = true")
	first, second, plain := s.awaitClass(t, "amx-1", ""), s.awaitClass(t, "amx-2", ""), s.awaitClass(t, "plain", "")
	if first != second || first == plain {
		t.Errorf("classes %s, %s and %s", first, second, plain)
	}
	s.create(t, podObject("app", ref))
	if pod := s.awaitNode(t, "app"); !strings.HasPrefix(pod.Spec.NodeName, "amx-") {
		t.Errorf("the pod is on %s", pod.Spec.NodeName)
	}
	// What NFD tells changes, as after a new node pool, and the class with it.
	s.nodeFeature(t, "plain", `"SSE": {}, "SSE2": {}, "AMXINT8": {}`)
	if got := s.awaitClass(t, "plain", plain); got != first {
		t.Errorf("the node is of class %s, want %s", got, first)
	}
	if got := s.awaitClass(t, "reports-itself", ""); got != own.ID {
		t.Errorf("the class that a node reports itself is replaced by %s", got)
	}
	s.onlyTheLabel(t)
}

// onlyTheLabel checks that the controller may change nothing else of nodes.
func (s *scene) onlyTheLabel(t *testing.T) {
	t.Helper()
	config := admin(s.plane)
	config.Impersonate.UserName = "system:serviceaccount:imagefit:imagefit-controller"
	config.Impersonate.Groups = []string{"system:serviceaccounts", "system:authenticated"}
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	patch := func(body string) error {
		_, err := client.CoreV1().Nodes().Patch(t.Context(), "plain", types.MergePatchType, []byte(body), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	other := `{"metadata":{"labels":{"pool":"x"}}}`
	for start := time.Now(); patch(other) == nil; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("the policy is not in effect")
		}
	}
	for _, body := range []string{other, `{"spec":{"unschedulable":true}}`, `{"metadata":{"annotations":{"a":"b"}}}`} {
		if err := patch(body); err == nil || !strings.Contains(err.Error(), "may change the label imagefit.dev/class only") {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := patch(`{"metadata":{"labels":{"imagefit.dev/class":"x"}}}`); err != nil {
		t.Error(err)
	}
}

// awaitClass waits until a node has a class, and another one than before.
func (s *scene) awaitClass(t *testing.T, name, before string) string {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(50 * time.Millisecond) {
		node, err := s.CoreV1().Nodes().Get(t.Context(), name, getOptions())
		must(t, err)
		if class := node.Labels[nodeclass.Label]; class != before {
			return class
		}
	}
	t.Fatalf("node %s has no other class than %q", name, before)
	return ""
}

// serveNodeFeatures makes the resource of NFD, as far as it matters.
func (s *scene) serveNodeFeatures(t *testing.T) {
	t.Helper()
	must(t, applyObject(t.Context(), s.plane, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "nodefeatures.nfd.k8s-sigs.io", "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, a test"}},
		"spec": map[string]any{
			"group": "nfd.k8s-sigs.io", "scope": "Namespaced",
			"names": map[string]any{"kind": "NodeFeature", "plural": "nodefeatures", "singular": "nodefeature"},
			"versions": []any{map[string]any{"name": "v1alpha1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			}}},
		},
	}}))
	features := s.objects.Resource(controller.NodeFeatures()).Namespace(s.namespace)
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, err := features.List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			t.Fatal(err)
		}
	}
}

// nodeFeature writes what NFD's worker does for a node.
func (s *scene) nodeFeature(t *testing.T, node, flags string) {
	t.Helper()
	text := fmt.Sprintf(`{"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
		"metadata": {"name": %q, "labels": {"nfd.node.kubernetes.io/node-name": %q}},
		"spec": {"labels": {}, "features": {
			"flags": {"cpu.cpuid": {"elements": {%s}}, "kernel.loadedmodule": {"elements": {"only-of-%s": {}}}},
			"attributes": {"kernel.version": {"elements": {"full": "6.8.0", "major": "6", "minor": "8", "revision": "0"}},
				"system.name": {"elements": {"nodename": %q}}},
			"instances": {"pci.device": {"elements": []}}}}}`, node, node, flags, node, node)
	_, err := s.objects.Resource(controller.NodeFeatures()).Namespace(s.namespace).Patch(t.Context(), node, types.ApplyPatchType, []byte(text), metav1.PatchOptions{FieldManager: "nfd-worker"})
	must(t, err)
}
