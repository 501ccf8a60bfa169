package convert_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// TestRulesOfKubernetesBecomeASpec: what a NodeFeatureRule looks for is what an image may
// ask for; what it does to a node is not.
func TestRulesOfKubernetesBecomeASpec(t *testing.T) {
	t.Parallel()
	const rule = `apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata: {name: gpu}
spec:
  rules:
  - name: gpu
    labels: {"vendor.example/gpu": "true"}
    extendedResources: {"vendor.example/gpu": "1"}
    matchFeatures:
    - feature: pci.device
      matchExpressions: {vendor: {op: In, value: ["8086"]}, class: {op: In, value: ["0300"]}}
  - name: driver
    matchAny:
    - matchFeatures: [{feature: kernel.loadedmodule, matchExpressions: {i915: {op: Exists}}}]
    - matchFeatures: [{feature: kernel.loadedmodule, matchExpressions: {xe: {op: Exists}}}]
`
	specs, err := spec.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	written, err := convert.Body(specs, []byte(rule), dialect.NFD)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"version: v1alpha1", "pci.device", "8086", "i915", "xe"} {
		if !strings.Contains(string(written.Body), part) {
			t.Errorf("%s is missing in\n%s", part, written.Body)
		}
	}
	if strings.Contains(string(written.Body), "vendor.example") || len(written.Lost) != 0 || len(written.Notes) < 2 ||
		written.Notes[0] != "left out, since it is for nodes: labels of rule gpu" {
		t.Errorf("lost %v, notes %v\n%s", written.Lost, written.Notes, written.Body)
	}
	d, isSpec := dialect.Detect("", "", []byte(rule))
	if _, err := d.Parse(spec.NewInterpreter(specs), []byte(rule)); isSpec || err == nil || !strings.Contains(err.Error(), "row 2, column 7: this is a NodeFeatureRule of Kubernetes") {
		t.Errorf("read as %s: %v", d.Name, err)
	}
}
