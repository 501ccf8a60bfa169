package nodefeature_test

import (
	"encoding/json"
	"testing"

	"github.com/imagefit/imagefit/pkg/nodefeature"
)

func objects(t *testing.T, texts ...string) (all []nodefeature.Object) {
	t.Helper()
	for _, text := range texts {
		var o nodefeature.Object
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

const (
	worker = `{"kind": "NodeFeature", "metadata": {"name": "n1", "namespace": "nfd"}, "spec": {"features": {
		"flags": {"cpu.cpuid": {"elements": {"AVX2": {}}}}, "attributes": {"kernel.version": {"elements": {"full": "6.1.0", "major": "6"}}}}}}`
	other = `{"kind": "NodeFeature", "metadata": {"name": "a-vendor", "namespace": "x", "labels": {"nfd.node.kubernetes.io/node-name": "n1"}},
		"spec": {"features": {"attributes": {"kernel.version": {"elements": {"full": "6.8.0"}}, "vendor.set": {"elements": {"a": "b"}}}}}}`
)

// TestObjectsOfANodeAreJoinedAsNFDDoes: that of its worker first, whatever their names are.
func TestObjectsOfANodeAreJoinedAsNFDDoes(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{worker, other}, {other, worker}} {
		all := objects(t, order...)
		if all[0].Node() != "n1" || all[1].Node() != "n1" {
			t.Errorf("nodes %q and %q", all[0].Node(), all[1].Node())
		}
		known, err := nodefeature.Facts(all, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if full, major := known.Lookup("kernel.version", "full").Value, known.Lookup("kernel.version", "major").Value; full != "6.8.0" || major != "6" {
			t.Errorf("kernel %q, major %q", full, major)
		}
	}
}

func TestTrimLeavesWhatClassesHave(t *testing.T) {
	t.Parallel()
	o := objects(t, other)[0]
	o.Trim(nil)
	if sets := o.Spec.Features.Attributes; len(sets) != 1 || sets["kernel.version"].Elements["full"] != "6.8.0" {
		t.Errorf("left are %v", sets)
	}
}

func TestObjectsWithoutFeaturesAreAnError(t *testing.T) {
	t.Parallel()
	if known, err := nodefeature.Facts(objects(t, `{"metadata": {"name": "n"}}`), "amd64"); err == nil {
		t.Errorf("facts %v", known)
	}
}
