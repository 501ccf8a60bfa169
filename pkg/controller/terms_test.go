package controller

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/selector"
)

func on(class, arch string, outcome selector.Outcome, rank int) podFit {
	return podFit{host{nodeclass.Class{ID: class}, "linux", arch}, placement.Verdict{Outcome: outcome, Rank: rank, Reason: "reason"}, 0}
}

func with(nodes int, f podFit) podFit {
	f.nodes = nodes
	return f
}

func TestTermsFollowFromTheVerdicts(t *testing.T) {
	t.Parallel()
	amd64, arm64 := on("", "amd64", selector.Unknown, 9), on("", "arm64", selector.Unfit, 0)
	for _, test := range []struct {
		name                string
		strict              bool
		fits                []podFit
		required, preferred string
	}{
		{"nothing is known", false, []podFit{on("", "amd64", selector.Unknown, 1), on("", "arm64", selector.Unknown, 1)}, `null`, `null`},
		{"an architecture is missing", false, []podFit{amd64, arm64}, `[{"key":"kubernetes.io/arch","operator":"In","values":["amd64"]}]`, `null`},
		{"all are missing", false, []podFit{on("", "amd64", selector.Unfit, 0), arm64}, `null`, `null`},
		{
			"a class of another architecture is not named", false, []podFit{amd64, arm64, on("a", "arm64", selector.Unfit, 0), on("b", "amd64", selector.Fits, 1)},
			`[{"key":"kubernetes.io/arch","operator":"In","values":["amd64"]}]`, `null`,
		},
		{
			"a class that does not fit", false, []podFit{amd64, on("b", "amd64", selector.Unfit, 0), on("a", "amd64", selector.Unfit, 0), on("c", "amd64", selector.Unknown, 1)},
			`[{"key":"imagefit.dev/class","operator":"NotIn","values":["a","b"]}]`, `null`,
		},
		{
			"strict", true, []podFit{amd64, on("b", "amd64", selector.Unfit, 0), on("d", "amd64", selector.Fits, 1), on("c", "amd64", selector.Fits, 1)},
			`[{"key":"imagefit.dev/class","operator":"In","values":["c","d"]}]`, `null`,
		},
		{"strict, and none fits", true, []podFit{amd64, on("b", "amd64", selector.Unfit, 0)}, `[{"key":"imagefit.dev/class","operator":"NotIn","values":["b"]}]`, `null`},
		{
			"ranks", false, []podFit{amd64, on("c", "amd64", selector.Fits, 3), on("b", "amd64", selector.Fits, 1), on("a", "amd64", selector.Fits, 1), on("d", "amd64", selector.Unknown, 4)},
			`null`, `[{"weight":100,"preference":{"matchExpressions":[{"key":"imagefit.dev/class","operator":"In","values":["a","b"]}]}},` +
				`{"weight":50,"preference":{"matchExpressions":[{"key":"imagefit.dev/class","operator":"In","values":["c"]}]}}]`,
		},
		{
			"nodes without a class rank behind", false, []podFit{with(3, on("", "amd64", selector.Unknown, 2)), on("a", "amd64", selector.Fits, 1)},
			`null`, `[{"weight":100,"preference":{"matchExpressions":[{"key":"imagefit.dev/class","operator":"In","values":["a"]}]}}]`,
		},
	} {
		got := termsOf(test.fits, test.strict)
		required, _ := json.Marshal(got.required)
		preferred, _ := json.Marshal(got.preferred)
		if string(required) != test.required || string(preferred) != test.preferred {
			t.Errorf("%s: required %s, preferred %s, want %s and %s", test.name, required, preferred, test.required, test.preferred)
		}
	}
}

func TestTermsOfManyRanksAreBounded(t *testing.T) {
	t.Parallel()
	var fits []podFit
	for i := range 50 {
		fits = append(fits, on(string(rune('A'+i)), "amd64", selector.Fits, i+1))
	}
	preferred := preferences(fits)
	if len(preferred) != maxRanks || preferred[0].Weight != bestWeight || preferred[maxRanks-1].Weight < 1 {
		t.Errorf("%d terms: %+v", len(preferred), preferred)
	}
}

// TestPatchLeavesWhatItDoesNotKnow: a term that matches no node stays so, and lists are
// added to in place.
func TestPatchLeavesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	requirement := corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpExists}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7", Annotations: map[string]string{}}}
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "other"}, {Name: Gate}}
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{}, {MatchExpressions: []corev1.NodeSelectorRequirement{requirement}}},
	}}}
	got, err := patchOf(pod, terms{required: []corev1.NodeSelectorRequirement{{Key: ClassLabel, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"a"}}}}, placed)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"op":"replace","path":"/metadata/resourceVersion","value":"7"},` +
		`{"op":"add","path":"/metadata/annotations/imagefit.dev~1placed","value":"placed"},` +
		`{"op":"add","path":"/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/1/matchExpressions/-",` +
		`"value":{"key":"imagefit.dev/class","operator":"NotIn","values":["a"]}},` +
		`{"op":"test","path":"/spec/schedulingGates/1/name","value":"imagefit.dev/variant"},{"op":"remove","path":"/spec/schedulingGates/1"}]`
	if string(got) != want {
		t.Errorf("patch\n%s, want\n%s", got, want)
	}
}

func TestReasonNamesTheLargestKindsOfNodes(t *testing.T) {
	t.Parallel()
	count := map[string]int{"a": 1, "b": 40, "c": 3, "d": 2, "e": 5, "": 0}
	var fits []podFit
	for id, nodes := range count {
		f := on(id, "amd64", selector.Unfit, 0)
		f.nodes = nodes
		fits = append(fits, f)
	}
	want := "imagefit: no node of the cluster fits: class b (40 nodes): reason; class e (5 nodes): reason; class c (3 nodes): reason; " +
		"class d (2 nodes): reason; and 1 more kinds of nodes"
	if got := noneFits(fits); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	may := on("f", "amd64", selector.Unknown, 1)
	may.nodes = 1
	if got := noneFits(append(fits, may)); got != "" {
		t.Errorf("where one may fit: %q", got)
	}
	if got := noneFits(nil); got != "" {
		t.Errorf("without nodes: %q", got)
	}
}
