package decision

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

// TestRecallEvaluatesOnTheFactsOfTheMoment has facts that change between the pull and a later container.
func TestRecallEvaluatesOnTheFactsOfTheMoment(t *testing.T) {
	t.Parallel()
	const id = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	r := newTestRegistry(t)
	v3 := r.Image("linux/amd64/v3", "a")
	r.Index("1", v3)
	r.Attach(v3, fakeregistry.Artifact{Attributes: avx2})
	known := testkit.Node(3, "AVX2")
	resolver := newTestResolver(t, r, nil)
	resolver.facts = func() *facts.Facts { return known }
	if _, err := recall(resolver, id, ""); err == nil {
		t.Fatal("something is known of an image that nobody pulled")
	}
	d := decide(t, resolver, app)
	if err := resolver.Remember(id, d, 1); err == nil {
		t.Error("a candidate that does not exist was remembered")
	}
	if err := resolver.Remember(id, d, d.Choice); err != nil {
		t.Fatal(err)
	}
	r.Close() // from here on without the network
	tests := []struct {
		name  string
		facts *facts.Facts
		want  string
	}{
		{"as it was", testkit.Node(3, "AVX2"), "fits"},
		{"the flag is gone", testkit.Node(3), app + " does not fit this node: linux/amd64/v3 needs cpu.cpuid AVX2 (absent)"},
		{"the level is gone", testkit.Node(2, "AVX2"), app + " does not fit this node: linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 2)"},
		{"nothing is known", facts.New("linux", "amd64", facts.Features{}), "unknown"},
	}
	for _, test := range tests {
		known = test.facts
		verdict, err := recall(resolver, id, "")
		if err != nil {
			t.Fatal(err)
		}
		got := verdict.Outcome.String()
		if got == "does not fit" {
			got = verdict.Refusal(verdict.Reference)
		}
		if got != test.want || verdict.Manifest != v3.Digest {
			t.Errorf("%s: got  %s\nwant %s", test.name, got, test.want)
		}
	}
}

// TestRecallOfASharedConfigTakesTheManifestThatFitsBest has one image id for two manifests, which only differ
// in what is said of them.
func TestRecallOfASharedConfigTakesTheManifestThatFitsBest(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	unfit, fit := r.Image("linux/amd64/v4", "a"), r.Image("linux/amd64", "b")
	r.Index("unfit", unfit)
	r.Index("fit", fit)
	resolver := newTestResolver(t, r, testkit.Node(1))
	const id = "sha256:shared"
	remember := func(tag string) {
		t.Helper()
		if err := resolver.Remember(id, decide(t, resolver, "registry.example/app:"+tag), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		tag  string
		want selector.Outcome
	}{{"unfit", selector.Unfit}, {"fit", selector.Fits}, {"unfit", selector.Fits}} {
		remember(step.tag)
		if verdict, err := recall(resolver, id, ""); err != nil || verdict.Outcome != step.want {
			t.Errorf("after %s: %s, %v, want %s", step.tag, verdict.Outcome, err, step.want)
		}
	}
	for i := range 2 * maxVariants {
		tag := fmt.Sprint("more", i)
		r.Index(tag, r.Image("linux/amd64", tag))
		remember(tag)
	}
	var kept Image
	if err := resolver.cache.Image(id, &kept); err != nil || len(kept.Variants) != maxVariants {
		t.Errorf("%d manifests kept, %v", len(kept.Variants), err)
	}
}

// TestACopyInAnotherRepositoryDoesNotRefuseTheOriginal has the same manifest in two repositories: what is attached
// to it in one must not keep those from running it who pull from the other.
func TestACopyInAnotherRepositoryDoesNotRefuseTheOriginal(t *testing.T) {
	t.Parallel()
	const id = "sha256:copy"
	resolver := newTestResolver(t, newTestRegistry(t), testkit.Node(1))
	change(resolver, func(r *Rules) { r.Policy.MalformedArtifact = policy.Unfit })
	attached := Candidate{Digest: "sha256:a", Artifacts: []referrers.Artifact{{Problem: "broken"}}}
	bare := Candidate{Digest: "sha256:a"}
	for _, step := range []struct {
		repository string
		candidate  Candidate
		want       selector.Outcome
	}{
		{"registry.example/app", attached, selector.Unfit},
		{"mirror.example/app", bare, selector.Fits},
		{"registry.example/app", attached, selector.Fits},
		{"mirror.example/app", attached, selector.Unfit},
		{"registry.example/app", bare, selector.Fits},
	} {
		d := &Decision{Reference: step.repository + ":1", Repository: step.repository, Candidates: []Candidate{step.candidate}}
		if err := resolver.Remember(id, d, 0); err != nil {
			t.Fatal(err)
		}
		if verdict, err := recall(resolver, id, ""); err != nil || verdict.Outcome != step.want {
			t.Errorf("after %s with %d artifacts: %s, %v, want %s", step.repository, len(step.candidate.Artifacts), verdict.Outcome, err, step.want)
		}
	}
}

// TestRecallUsesOnlyTheRepositoriesOfTheReferences has a copy of an image that says it does not fit. It
// counts for the copy only, and for who asks by the image id.
func TestRecallUsesOnlyTheRepositoriesOfTheReferences(t *testing.T) {
	t.Parallel()
	id := "sha256:" + strings.Repeat("c", 64)
	resolver := newTestResolver(t, newTestRegistry(t), testkit.Node(1))
	change(resolver, func(r *Rules) { r.Policy.MalformedArtifact = policy.Unfit })
	attached := Candidate{Digest: "sha256:a", Artifacts: []referrers.Artifact{{Problem: "broken"}}}
	d := &Decision{Reference: "copy.example/app:1", Repository: "copy.example/app", Candidates: []Candidate{attached}}
	if err := resolver.Remember(id, d, 0); err != nil {
		t.Fatal(err)
	}
	for reference, known := range map[string]bool{
		"copy.example/app:1": true, "copy.example/app": true, "copy.example/app@sha256:" + strings.Repeat("0", 64): true,
		"registry.example/app:1": false, "app": false,
		"": true, "no reference!": true, id: true, strings.TrimPrefix(id, "sha256:"): true,
	} {
		verdict, err := recall(resolver, id, reference)
		if known && (err != nil || verdict.Outcome != selector.Unfit) || !known && !errors.Is(err, cache.ErrMiss) {
			t.Errorf("%q: %s, %v", reference, verdict.Outcome, err)
		}
	}
	// With several references, the best of all counts, and all must be known.
	if _, err := recall(resolver, id, "copy.example/app:1", "registry.example/app:1"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("a copy of which nothing is known: %v", err)
	}
	bare := &Decision{Reference: "registry.example/app:1", Repository: "registry.example/app", Candidates: []Candidate{{Digest: "sha256:a"}}}
	if err := resolver.Remember(id, bare, 0); err != nil {
		t.Fatal(err)
	}
	for _, references := range [][]string{{"copy.example/app:1", "registry.example/app:1"}, {"registry.example/app:1", "copy.example/app:1"}} {
		if verdict, err := recall(resolver, id, references...); err != nil || verdict.Outcome != selector.Fits {
			t.Errorf("%s: %s, %v", references, verdict.Outcome, err)
		}
	}
	if !resolver.Knows(id, "copy.example/app") || resolver.Knows(id, "other.example/app") || resolver.Knows("sha256:x", "copy.example/app") {
		t.Error("who knows what is wrong")
	}
}

func TestCandidatesByPreferenceBeginWithTheChoice(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		choice, def int
		want        []int
	}{
		{2, 1, []int{2, 1, 0, 3}},
		{1, 1, []int{1, 0, 2, 3}},
		{None, 3, []int{3, 0, 1, 2}},
		{None, None, []int{0, 1, 2, 3}},
	} {
		d := &Decision{Candidates: make([]Candidate, 4), Choice: test.choice, Default: test.def}
		if got := d.ByPreference(); !slices.Equal(got, test.want) {
			t.Errorf("choice %d, default %d: %v, want %v", test.choice, test.def, got, test.want)
		}
	}
}

// All of the decision together would be more than one file of the cache may have.
func TestOneOfManyCandidatesWithManyRequirementsIsRemembered(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	const candidates = 100
	var entries []ocispec.Descriptor
	for i := range candidates {
		entries = append(entries, r.Image("linux/amd64", fmt.Sprint(i)))
	}
	var attributes []string
	for i := range 1000 {
		attributes = append(attributes, fmt.Sprintf(`"cpu-cpuid.FLAG%d": true`, i))
	}
	r.Attach(r.Index("1", entries...), fakeregistry.Artifact{Attributes: strings.Join(attributes, ",")})
	resolver := newTestResolver(t, r, testkit.Node(1))
	d := decide(t, resolver, app)
	if len(d.Candidates) != candidates || len(d.Candidates[0].Requirements) != 0 || len(d.Candidates[0].Verdict.Checks) != 0 {
		t.Fatalf("%d candidates, %d requirements, %d checks", len(d.Candidates), len(d.Candidates[0].Requirements), len(d.Candidates[0].Verdict.Checks))
	}
	if e := explain(t, resolver, app); len(e.Candidates[0].Requirements) != maxRequirements || e.Candidates[0].Reason != d.Candidates[0].Reason {
		t.Errorf("explained: %d requirements, %s", len(e.Candidates[0].Requirements), e.Candidates[0].Reason)
	}
	if err := resolver.Remember("sha256:x", d, 0); err != nil {
		t.Fatal(err)
	}
	if verdict, err := recall(resolver, "sha256:x", ""); err != nil || verdict.Outcome != selector.Unfit {
		t.Errorf("recalled %s, %v", verdict.Outcome, err)
	}
}

// What is known already is not written again.
func TestRememberWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state, err := cache.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	resolver := newTestResolver(t, newTestRegistry(t), testkit.Node(1))
	resolver.cache = state
	id := "sha256:" + strings.Repeat("d", 64)
	remember := func(artifacts ...referrers.Artifact) os.FileInfo {
		t.Helper()
		d := &Decision{Reference: app, Repository: "registry.example/app", Candidates: []Candidate{{Digest: "sha256:a", Artifacts: artifacts}}}
		if err := resolver.Remember(id, d, 0); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "images", strings.Repeat("d", 64)+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := remember()
	if again := remember(); !os.SameFile(first, again) {
		t.Error("written again although nothing is new")
	}
	if changed := remember(referrers.Artifact{Problem: "broken"}); os.SameFile(first, changed) {
		t.Error("a new artifact was not kept")
	}
}
