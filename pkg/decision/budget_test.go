package decision

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

// distribution returns a node of level 1 with as many kernel options as that of a
// distribution.
func distribution() *facts.Facts {
	features := testkit.Node(1).Features()
	features.Attributes["kernel.config"] = map[string]string{}
	for i := range 12_000 {
		features.Attributes["kernel.config"][fmt.Sprintf("AN_OPTION_%06d", i)] = "y"
	}
	return facts.New("linux", "amd64", features)
}

// costly returns a body of under 1 KB that compares many names with large regular
// expressions. Bodies of different i differ.
func costly(i int) string {
	patterns := strings.Repeat(fmt.Sprintf(`"(a%d.{1,9}){35}$",`, i), 10)
	return fmt.Sprintf(`{"version":"v1alpha1","compatibilities":[{"rules":[{"name":"x","matchFeatures":[`+
		`{"feature":"kernel.config","matchName":{"op":"InRegexp","value":[%s]}}]}]}]}`, strings.TrimSuffix(patterns, ","))
}

func attachNFD(r *fakeregistry.Registry, subject ocispec.Descriptor, body string) {
	r.Attach(subject, fakeregistry.Artifact{Body: body, LayerType: dialect.LayerTypeNFD, Change: func(m *ocispec.Manifest) {
		m.ArtifactType = dialect.ArtifactTypeNFD
	}})
}

// TestCostlyBodiesAreAnsweredByPolicyAndNotEvaluated, and what the image requires
// besides still counts.
func TestCostlyBodiesAreAnsweredByPolicyAndNotEvaluated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer  string
		needs   string // of another artifact
		outcome selector.Outcome
	}{
		{policy.Unknown, "", selector.Unknown},
		{policy.Ignore, "", selector.Fits},
		{policy.Unfit, "", selector.Unfit},
		{policy.Unknown, avx2, selector.Unfit},
		{policy.Ignore, avx2, selector.Unfit},
	} {
		t.Run(test.answer+" "+test.needs, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			image := r.Image("linux/amd64", "a")
			r.Index("1", image)
			attachNFD(r, image, costly(0))
			if test.needs != "" {
				r.Attach(image, fakeregistry.Artifact{Attributes: test.needs})
			}
			resolver := newTestResolver(t, r, distribution())
			change(resolver, func(r *Rules) { r.Policy.TooCostly = test.answer })
			d := explain(t, resolver, app)
			if got := d.Candidates[0].Outcome; got != test.outcome {
				t.Errorf("the image %s: %s", got, d.Reason)
			}
			if want := (policy.Case{Key: "too_costly", Answer: test.answer}); !slices.Contains(d.Cases, want) {
				t.Errorf("cases %v, want %v", d.Cases, want)
			}
			if words := fmt.Sprint(d.Candidates[0].Requirements); !strings.Contains(words, "steps, more than 10000000") {
				t.Errorf("the explanation has no count: %s", words)
			}
		})
	}
}

// TestCostIsBoundedForAnImageAndForAPull, with the cheap bodies first: what others
// attach to an image does not keep its own from being evaluated.
func TestCostIsBoundedForAnImageAndForAPull(t *testing.T) {
	t.Parallel()
	e := newTestResolver(t, newTestRegistry(t), distribution())
	ev := e.newEvaluation(e.Snapshot(), "registry.example/app")
	dear := func(names ...string) []*body {
		var bodies []*body
		for _, name := range names {
			bodies = append(bodies, &body{key: name, size: 9_000_000 / selector.ParseCost(1), parse: func() []compat.Requirement { return nil }})
		}
		return append(bodies, &body{key: "cheap", size: 10, parse: func() []compat.Requirement {
			return []compat.Requirement{{Key: "cheap", Unclear: "its own reason"}}
		}})
	}
	for image := range 20 {
		bodies := dear("a", "b", "c", "d")
		ev.withinBudget(bodies)
		done := 0
		for _, b := range bodies {
			if b.problem == "" {
				done++
			}
		}
		last := bodies[len(bodies)-1]
		switch {
		case image < 5 && (done != 3 || last.problem != ""):
			t.Errorf("image %d: %d bodies are within the budget, want the cheap one and two others", image, done)
		case image > 12 && done > 1:
			t.Errorf("image %d: %d bodies are within the budget of the pull", image, done)
		}
	}
	if ev.left < 0 {
		t.Errorf("%d steps are left", ev.left)
	}
}

// TestABodyThatImagesShareIsPaidOnce: it is parsed once, however many there are, counts
// for each image and is found by those for which nothing is left of the pull's budget.
func TestABodyThatImagesShareIsPaidOnce(t *testing.T) {
	t.Parallel()
	e := newTestResolver(t, newTestRegistry(t), distribution())
	ev := e.newEvaluation(e.Snapshot(), "registry.example/app")
	parsed := 0
	dear := func(name string) *body {
		return &body{key: name, size: 9_000_000 / selector.ParseCost(1), parse: func() []compat.Requirement {
			parsed++
			return []compat.Requirement{{Key: name, Unclear: "its own reason"}}
		}}
	}
	artifact := referrers.Artifact{Type: dialect.ArtifactType, MediaType: dialect.LayerTypeOutline, Layer: digest.FromString("x"), Size: 5}
	if first, second := ev.ofArtifact(artifact), ev.ofArtifact(artifact); first != second {
		t.Error("an artifact has a body for each image")
	}
	shared := dear("shared")
	for image := range 30 {
		own := dear(fmt.Sprint(image))
		ev.withinBudget([]*body{shared, own})
		if reason := ev.findingOf(shared).verdict.Reason(); !strings.Contains(reason, "its own reason") {
			t.Fatalf("image %d: %s", image, reason)
		}
		if done := own.problem == ""; done != (image < 10) {
			t.Errorf("image %d: evaluated %t: %s", image, done, own.problem)
		}
	}
	if parsed != 11 {
		t.Errorf("%d bodies were parsed, want 11", parsed)
	}
	others := []*body{shared, dear("a"), dear("b")}
	ev.left = selector.MaxPullSteps
	for range 2 {
		before := ev.left
		if ev.withinBudget(others); others[2].problem == "" || ev.left > before {
			t.Errorf("an image has three bodies of 9 million steps")
		}
	}
}

// TestRecallNamesTheSetsThatAVerdictRestsOn, also where what is about them was too
// costly: with less in a set it might not be.
func TestRecallNamesTheSetsThatAVerdictRestsOn(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	attachNFD(r, image, costly(0))
	r.Attach(image, fakeregistry.Artifact{Attributes: avx2})
	resolver := newTestResolver(t, r, distribution())
	d := decide(t, resolver, app)
	if err := resolver.Remember("sha256:x", d, 0); err != nil {
		t.Fatal(err)
	}
	recalled, err := resolver.Recall(resolver.Snapshot(), "sha256:x")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"kernel.config", "cpu.cpuid"} {
		if !slices.Contains(recalled.Sets, set) {
			t.Errorf("sets %v, want %s among them", recalled.Sets, set)
		}
	}
	if recalled.Steps <= 0 || recalled.Best().Outcome != d.Candidates[0].Outcome {
		t.Errorf("%s in %d steps", recalled.Best().Outcome, recalled.Steps)
	}
}
