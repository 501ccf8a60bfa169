package placement_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/selector"
)

func newEvaluator(t testing.TB) (*placement.Evaluator, *decisiontest.Bench) {
	t.Helper()
	bench := decisiontest.New(t, compattest.Cloud())
	return placement.New(bench.Evaluator, bench.Rules.Load()), bench
}

func match(t testing.TB, e *placement.Evaluator, images []*decision.Needs, classes ...nodeclass.Class) []placement.Row {
	t.Helper()
	rows, err := e.Match(t.Context(), images, classes)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// verdict is the part of a verdict that nodes of a class must share.
type verdict struct {
	outcome          selector.Outcome
	digest, platform string
}

func verdictOf(v placement.Verdict) verdict {
	return verdict{v.Outcome, v.Digest.String(), v.Platform}
}

// Whatever images ask for, a node and its class get the same verdict, and so do two nodes
// of one class.
func TestNodesOfAClassGetTheVerdictOfTheClass(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			e, _ := newEvaluator(t)
			images := corpus(t, r, 60, 40)
			asked := e.Dimensions(t.Context(), images...)
			var whole, classes []nodeclass.Class
			different := map[string]bool{}
			for kind, f := range compattest.MachineTypes(t) {
				for i := range 5 {
					node := compattest.Noisy(r, f, fmt.Sprint(kind, "-", i))
					class := nodeclass.Of(node, asked)
					whole, classes = append(whole, nodeclass.Class{Facts: node}), append(classes, class)
					different[class.ID] = true
				}
			}
			onNodes, onClasses := match(t, e, images, whole...), match(t, e, images, classes...)
			outcomes := map[selector.Outcome]int{}
			for i, row := range onClasses {
				byID := map[string]placement.Verdict{}
				for c, v := range row.Verdicts {
					outcomes[v.Outcome]++
					if node := onNodes[i].Verdicts[c]; verdictOf(v) != verdictOf(node) || v.Rank != node.Rank {
						t.Fatalf("%s on node %d\nclass %+v\nnode  %+v", row.Reference, c, v, node)
					}
					if known, ok := byID[classes[c].ID]; ok && verdictOf(known) != verdictOf(v) {
						t.Fatalf("%s: two nodes of class %s\n%+v\n%+v", row.Reference, classes[c].ID, known, v)
					}
					byID[classes[c].ID] = v
				}
			}
			for _, o := range []selector.Outcome{selector.Fits, selector.Unfit, selector.Unknown} {
				if outcomes[o] < 20 {
					t.Errorf("only %d verdicts are %s: the corpus tells too little", outcomes[o], o)
				}
			}
			if len(different) < 13 || len(different) > len(classes) {
				t.Errorf("%d classes of %d nodes", len(different), len(classes))
			}
		})
	}
}

// A class that was made before an image asked for more leaves the image unknown: what it
// states as known is so on the node.
func TestAClassOfOtherDimensionsIsNeverWrong(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	e, _ := newEvaluator(t)
	images := corpus(t, r, 80, 40)
	var whole, classes []nodeclass.Class
	for _, f := range compattest.MachineTypes(t) {
		node := compattest.Noisy(r, f, "a")
		whole, classes = append(whole, nodeclass.Class{Facts: node}), append(classes, nodeclass.Of(node, nil))
	}
	onNodes, onClasses := match(t, e, images, whole...), match(t, e, images, classes...)
	unknown := 0
	for i, row := range onClasses {
		for c, v := range row.Verdicts {
			node := onNodes[i].Verdicts[c]
			if v.Outcome == selector.Unknown && node.Outcome != selector.Unknown {
				unknown++
				continue
			}
			if v.Outcome == selector.Unfit && node.Outcome != selector.Unfit {
				t.Errorf("%s on node %d\nclass %+v\nnode  %+v", row.Reference, c, v, node)
			}
		}
	}
	if unknown == 0 {
		t.Error("no image asks for more than every class has")
	}
}

func TestClassesAreRankedByTheirBestVariant(t *testing.T) {
	t.Parallel()
	e, _ := newEvaluator(t)
	level := func(n string, arch string) nodeclass.Class {
		return nodeclass.Of(facts.New("linux", arch, facts.Features{Attributes: map[string]map[string]string{"cpu.x86_64": {"level": n}}}), nil)
	}
	classes := []nodeclass.Class{level("2", "amd64"), level("4", "amd64"), level("1", "amd64"), level("3", "amd64"), level("", "arm64"), level("", "")}
	amd := func(l string) decisiontest.Variant {
		return decisiontest.Variant{OS: "linux", Architecture: "amd64", Level: l}
	}
	rows := match(t, e, []*decision.Needs{
		decisiontest.Needs(t, "registry.example/app:1", amd("v2"), amd("v3")),
		decisiontest.Needs(t, "registry.example/side:1", amd(""), decisiontest.Variant{OS: "linux", Architecture: "arm64"}),
		decisiontest.Needs(t, "registry.example/gpu:1", decisiontest.Variant{OS: "linux", Architecture: "amd64", Body: compattest.ProposalF("io.kubernetes.nfd", `"cpu-cpuid.AVX512F": true`)}),
	}, classes...)
	pod := placement.Pod(rows[:2])
	for what, tt := range map[string]struct {
		verdicts []placement.Verdict
		want     string
	}{
		"levels":        {rows[0].Verdicts, "fits 2 linux/amd64/v2, fits 1 linux/amd64/v3, does not fit 0 , fits 1 linux/amd64/v3, does not fit 0 , unknown 3 "},
		"architectures": {rows[1].Verdicts, "fits 1 linux/amd64, fits 1 linux/amd64, fits 1 linux/amd64, fits 1 linux/amd64, fits 1 linux/arm64, unknown 2 "},
		"unknown flags": {rows[2].Verdicts, "unknown 1 linux/amd64, unknown 1 linux/amd64, unknown 1 linux/amd64, unknown 1 linux/amd64, does not fit 0 , unknown 1 "},
		"a pod":         {pod, "fits 2 , fits 1 , does not fit 0 , fits 1 , does not fit 0 , unknown 3 "},
		"a pod of one":  {placement.Pod(rows[:1]), "fits 2 linux/amd64/v2, fits 1 linux/amd64/v3, does not fit 0 , fits 1 linux/amd64/v3, does not fit 0 , unknown 3 "},
	} {
		var words []string
		for _, v := range tt.verdicts {
			words = append(words, fmt.Sprintf("%s %d %s", v.Outcome, v.Rank, v.Platform))
		}
		got := strings.Join(words, ", ")
		if got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", what, got, tt.want)
		}
	}
	if want := "no variant of registry.example/app:1 fits this node: linux/amd64/v2 needs cpu.x86_64 level >= 2 (is 1); linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 1)"; pod[2].Reason != want {
		t.Errorf("got  %s\nwant %s", pod[2].Reason, want)
	}
	if placement.Pod(nil) != nil {
		t.Error("no image is not nothing")
	}
}
