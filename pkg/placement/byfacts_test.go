package placement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
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

// classesOf makes classes of noisy nodes of each machine type.
func classesOf(t *testing.T, r *rand.Rand, each int, asked nodeclass.Dimensions) []nodeclass.Class {
	t.Helper()
	byID := map[string]nodeclass.Class{}
	for kind, f := range compattest.MachineTypes(t) {
		for i := range each {
			class := nodeclass.Of(compattest.Noisy(r, f, fmt.Sprint(kind, "-", i)), asked)
			byID[class.ID] = class
		}
	}
	var classes []nodeclass.Class
	for _, class := range byID {
		classes = append(classes, class)
	}
	return classes
}

func tokensOf(v *placement.Vocabulary, classes []nodeclass.Class) placement.Tokens {
	tokens := placement.Tokens{}
	for _, class := range classes {
		tokens[class.ID] = v.Tokens(class.Facts)
	}
	return tokens
}

// What is asked for by facts agrees with the verdict on nodes that were not there when it
// was written: it holds on none that is unfit, whatever an image asks for.
func TestByFactsAgreesWithTheVerdictOnOtherNodes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 9))
	e, _ := newEvaluator(t)
	images := corpus(t, r, 60, 40)
	asked, vocabulary := e.Dimensions(t.Context(), images...), e.Vocabulary(t.Context(), images...)
	here, others := classesOf(t, r, 4, asked), classesOf(t, r, 6, asked)
	rows, elsewhere := match(t, e, images, here...), match(t, e, images, others...)
	tokens, otherTokens := tokensOf(vocabulary, here), tokensOf(vocabulary, others)
	byFacts, byClass, compared := 0, 0, 0
	for i := range images {
		second := r.IntN(len(images))
		for _, of := range [][]int{{i}, {i, second}} {
			job := placement.Job{Classes: here, Tokens: tokens}
			var then []placement.Row
			for _, image := range of {
				job.Images, job.Rows, then = append(job.Images, images[image]), append(job.Rows, rows[image]), append(then, elsewhere[image])
			}
			job.Answer = placement.AnswerOf(placement.Pod(job.Rows), here, false)
			expression, err := e.ByFacts(t.Context(), job, false)
			if err != nil {
				byClass++
				continue
			}
			byFacts++
			for c, v := range placement.Pod(then) {
				compared++
				if expression.Holds(otherTokens[others[c].ID]) && v.Outcome == selector.Unfit {
					t.Fatalf("%s: %s holds on a node with %v, where %s", images[i].Reference, expression, otherTokens[others[c].ID], v.Reason)
				}
			}
		}
	}
	t.Logf("%d jobs by facts, %d by class, %d comparisons", byFacts, byClass, compared)
	if byFacts < 20 {
		t.Errorf("%d jobs by facts, %d by class: the corpus tells too little", byFacts, byClass)
	}
}

func TestByFactsIsReadable(t *testing.T) {
	t.Parallel()
	e, _ := newEvaluator(t)
	node := func(arch string, level int, kernel string, flags ...string) *facts.Facts {
		f := facts.Features{
			Attributes: map[string]map[string]string{"kernel.version": {"full": kernel, "major": strings.Split(kernel, ".")[0]}},
			Flags:      map[string][]string{"cpu.cpuid": flags, "cpu.archspec": {"x86_64", "zen2"}, "kernel.loadedmodule": {}},
		}
		if arch == "amd64" {
			f.Attributes["cpu.x86_64"] = map[string]string{"level": fmt.Sprint(level)}
		}
		return facts.New("linux", arch, f)
	}
	amd := func(level, body string) decisiontest.Variant {
		return decisiontest.Variant{OS: "linux", Architecture: "amd64", Level: level, Body: body}
	}
	nfd := func(conditions string) string { return compattest.ProposalF("io.kubernetes.nfd", conditions) }
	rule := func(features string) string {
		return "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: r\n    matchFeatures:\n" + features
	}
	nodes := []*facts.Facts{node("amd64", 2, "5.14.0"), node("amd64", 3, "6.1.0", "AVX2"), node("amd64", 4, "6.8.0", "AVX2", "AVX512F"), node("arm64", 0, "6.1.0", "ASIMD")}
	for name, tt := range map[string]struct {
		variants     []decisiontest.Variant
		want, prefer string
		err          string
	}{
		"levels":            {[]decisiontest.Variant{amd("v2", ""), amd("v3", "")}, "imagefit_x86_64_v2", "imagefit_x86_64_v3", ""},
		"architectures":     {[]decisiontest.Variant{amd("", ""), {OS: "linux", Architecture: "arm64"}}, "imagefit_amd64|imagefit_arm64", "imagefit_amd64|imagefit_arm64", ""},
		"a flag":            {[]decisiontest.Variant{amd("", nfd(`"cpu-cpuid.AVX512F": true`))}, "imagefit_amd64&imagefit_cpu.cpuid.AVX512F", "imagefit_amd64&imagefit_cpu.cpuid.AVX512F", ""},
		"two of three":      {[]decisiontest.Variant{amd("v4", ""), amd("v3", nfd(`"kernel-version.major": "6"`))}, "(imagefit_kernel.version.full_ge_6&imagefit_x86_64_v3)|imagefit_x86_64_v4", "imagefit_x86_64_v4", ""},
		"one value of many": {[]decisiontest.Variant{amd("", rule("    - feature: kernel.version\n      matchExpressions: {major: {op: In, value: [\"4\", \"6\", \"7\"]}}\n"))}, "imagefit_amd64&imagefit_kernel.version.major_is_6", "", ""},
		"at least":          {[]decisiontest.Variant{amd("", rule("    - feature: kernel.version\n      matchExpressions: {full: {op: Ge, value: [\"6.2\"], type: version}}\n"))}, "imagefit_amd64&imagefit_kernel.version.full_ge_6.2", "", ""},
		"a pattern":         {[]decisiontest.Variant{amd("", rule("    - feature: kernel.version\n      matchExpressions: {full: {op: InRegexp, value: [\"^6\"]}}\n"))}, "", "", "no token can mean kernel.version full like ^6"},
		"nowhere":           {[]decisiontest.Variant{{OS: "linux", Architecture: "s390x"}}, "imagefit_none", "imagefit_none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := decisiontest.Needs(t, "registry.example/app:1", tt.variants...)
			asked := e.Dimensions(t.Context(), image)
			job := placement.Job{Images: []*decision.Needs{image}}
			for _, f := range nodes {
				job.Classes = append(job.Classes, nodeclass.Of(f, asked))
			}
			job.Tokens = tokensOf(e.Vocabulary(t.Context(), image), job.Classes)
			job.Rows = match(t, e, job.Images, job.Classes...)
			job.Answer = placement.AnswerOf(placement.Pod(job.Rows), job.Classes, false)
			got, err := e.ByFacts(t.Context(), job, false)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
			if prefer, err := e.ByFacts(t.Context(), job, true); tt.prefer != "" && (err != nil || prefer.String() != tt.prefer) {
				t.Errorf("prefer %s, %v\nwant   %s", prefer, err, tt.prefer)
			}
			if !slices.Contains(job.Tokens[job.Classes[2].ID], "imagefit_zen2") {
				t.Errorf("tokens %v lack the CPU target", job.Tokens[job.Classes[2].ID])
			}
			// Nodes that were exported without this image do not have its tokens.
			job.Tokens = tokensOf(placement.NewVocabulary(), job.Classes)
			if _, err := e.ByFacts(t.Context(), job, false); strings.Contains(tt.want, "cpuid") && (err == nil || !strings.Contains(err.Error(), "no node has the token imagefit_cpu.cpuid.AVX512F")) {
				t.Errorf("without its tokens: %v", err)
			}
		})
	}
}
