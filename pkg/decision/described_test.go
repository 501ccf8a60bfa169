package decision

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

// describe makes these the operator's descriptions, each of the inside of an [[image]].
func describe(t *testing.T, resolver *Resolver, images ...string) {
	t.Helper()
	text := "version = 1\n[[image]]\n" + strings.Join(images, "\n[[image]]\n") + "\n"
	found, err := description.Parse(testkit.Interpreter(t), "images.d/x.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	change(resolver, func(r *Rules) { r.Descriptions = description.NewSet(found) })
}

const (
	about   = "repositories = [\"registry.example/*\"]\n"
	wants   = about + "requires = [\"nfd :: cpu-cpuid.AVX512F :: true\"]\n"
	wantsV1 = about + "requires = [\"oci :: oci.kernel.versions :: >=5.8\"]\n"
)

func TestWhatTheOperatorStatesStandsInItsPlace(t *testing.T) {
	t.Parallel()
	const kernel99 = `{"compatibilities": {"oci": {"oci.kernel.versions": ">=99"}}}`
	tests := []struct {
		name      string
		body      string // of the author
		described []string
		outcome   selector.Outcome
		want      string // the requirements
	}{
		{"nothing", "", nil, selector.Fits, ""},
		{"of another image", "", []string{strings.ReplaceAll(wants, "registry.example", "other.example")}, selector.Fits, ""},
		{"alone", "", []string{wants}, selector.Unfit, "cpu.cpuid AVX512F images.d/x.toml:2"},
		{"another fact, after", kernel99, []string{wants}, selector.Unfit, "kernel.version >= 99 ; cpu.cpuid AVX512F images.d/x.toml:2"},
		{"the same fact, after", kernel99, []string{wantsV1}, selector.Unfit, "kernel.version >= 99 "},
		{"the same fact, before", kernel99, []string{wantsV1 + "place = \"before\""}, selector.Fits, "kernel.version >= 5.8 images.d/x.toml:2"},
		{"another fact, before", kernel99, []string{wants + "place = \"before\""}, selector.Unfit, "cpu.cpuid AVX512F images.d/x.toml:2; kernel.version >= 99 "},
		{"another fact, instead", kernel99, []string{about + "place = \"instead\"\nrequires = [\"nfd :: cpu-cpuid.AVX2 :: true\"]"}, selector.Fits, "cpu.cpuid AVX2 images.d/x.toml:2"},
		{"nothing, instead", kernel99, []string{about + "place = \"instead\""}, selector.Fits, ""},
		{"two of the operator", "", []string{wantsV1, about + "requires = [\"nfd :: cpu-cpuid.AVX2 :: true\"]"}, selector.Fits, "kernel.version >= 5.8 images.d/x.toml:2; cpu.cpuid AVX2 images.d/x.toml:6"},
		{"an unreadable body, instead", "{", []string{about + "place = \"instead\""}, selector.Fits, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			image := r.Image("linux/amd64", "a")
			if tt.body != "" {
				r.Attach(image, fakeregistry.Artifact{Body: tt.body})
			}
			r.Index("1", image)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			if tt.described != nil {
				describe(t, resolver, tt.described...)
			}
			c := explain(t, resolver, app).Candidates[0]
			var got []string
			for _, req := range c.Requirements {
				got = append(got, req.Want+" "+req.Origin)
			}
			if c.Outcome != tt.outcome || strings.Join(got, "; ") != tt.want {
				t.Errorf("%s, requires %q, want %s, %q", c.Outcome, strings.Join(got, "; "), tt.outcome, tt.want)
			}
		})
	}
}

// A description is evaluated when it matters: admission goes by the files of the
// moment, not by those of the pull.
func TestAdmissionGoesByTheDescriptionsOfTheMoment(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	index := r.Index("1", r.Image("linux/amd64", "a"))
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	d := explain(t, resolver, app)
	if err := resolver.Remember("sha256:x", d, 0); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		described string
		want      selector.Outcome
	}{
		{wantsV1, selector.Fits},
		{wants, selector.Unfit},
		{wants + "tags = [\"1\"]", selector.Unfit},
		{wants + "tags = [\"2\"]", selector.Fits},
		{wants + "platforms = [\"linux/amd64\"]", selector.Unfit},
		{"requires = [\"nfd :: cpu-cpuid.AVX512F :: true\"]\ndigests = [\"" + index.Digest.String() + "\"]", selector.Unfit},
	} {
		describe(t, resolver, tt.described)
		known, err := resolver.Recall(resolver.Snapshot(), "sha256:x")
		if err != nil || known.Best().Outcome != tt.want {
			t.Errorf("%q: %+v, %v", tt.described, known, err)
		}
	}
	describe(t, resolver, wants)
	known, err := resolver.Recall(resolver.Snapshot(), "sha256:x")
	if err != nil {
		t.Fatal(err)
	}
	if got := known.Best().Refusal(app); !strings.Contains(got, "needs cpu.cpuid AVX512F (absent, stated in images.d/x.toml:2)") {
		t.Errorf("refusal %q", got)
	}
}

// The base image is looked at only where a description of the repository asks for it:
// that costs the manifest of each candidate.
func TestDescriptionsOfABaseImageCostAManifest(t *testing.T) {
	t.Parallel()
	base := digest.FromString("base")
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	m := r.Get(image.Digest)
	m.Annotations = map[string]string{ocispec.AnnotationBaseImageName: "registry.example/base:1", ocispec.AnnotationBaseImageDigest: base.String()}
	image = r.Manifest(ocispec.MediaTypeImageManifest, m)
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	r.Index("1", image)
	const asks = "requires = [\"nfd :: cpu-cpuid.AVX512F :: true\"]\n"
	for _, tt := range []struct {
		described string
		want      selector.Outcome
		reads     bool
	}{
		{asks + "bases = [\"registry.example/base:*\"]", selector.Unfit, true},
		{asks + "bases = [\"" + base.String() + "\"]", selector.Unfit, true},
		{asks + "bases = [\"registry.example/base:2\"]", selector.Fits, true},
		{asks + "bases = [\"registry.example/base:*\"]\nrepositories = [\"other.example/*\"]", selector.Fits, false},
		{wants, selector.Unfit, false},
	} {
		resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
		describe(t, resolver, tt.described)
		r.Requests()
		d := explain(t, resolver, app)
		reads := strings.Contains(fmt.Sprint(r.Requests()), "manifests/"+image.Digest.String())
		if d.Candidates[0].Outcome != tt.want || reads != tt.reads {
			t.Errorf("%q: %s, reads the manifest: %v", tt.described, d.Candidates[0].Outcome, reads)
		}
	}
}

// A described image is one that has requirements, for policy.no_artifact.
func TestADescribedImageHasRequirements(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.Index("1", r.Image("linux/amd64", "a"))
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, func(rules *Rules) { rules.Policy.NoArtifact = policy.Refuse })
	action := func() policy.Action {
		a, _, _ := explain(t, resolver, app).Action(resolver.Snapshot().Rules.Policy.For("registry.example/app"))
		return a
	}
	if got := action(); got != policy.Refused {
		t.Errorf("without a description: %s", got)
	}
	describe(t, resolver, wantsV1)
	if got := action(); got != policy.Pulled {
		t.Errorf("with a description: %s", got)
	}
}

// A requirement that two artifacts share is shown once, and does not make its variant look
// better than one that has it once.
func TestWhatTwoArtifactsShareIsOneRequirement(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	once, twice := r.Image("linux/amd64", "once"), r.Image("linux/amd64", "twice")
	for _, image := range []ocispec.Descriptor{once, twice} {
		r.Attach(image, fakeregistry.Artifact{Attributes: avx2})
	}
	r.Attach(twice, fakeregistry.Artifact{Attributes: avx2 + ` , "cpu-cpuid.SSE3": false`, LayerType: dialect.LayerTypeOutlineNFD})
	r.Attach(twice, fakeregistry.Artifact{Attributes: avx2, LayerType: dialect.LayerTypeOutlineNFD, Annotations: map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"}})
	r.Index("1", once, twice)
	d := explain(t, newTestResolver(t, r, testkit.Node(3, "AVX2")), app)
	if len(d.Candidates[1].Artifacts) != 2 || wantsOf(d.Candidates[1]) != "cpu.cpuid AVX2" || d.Choice != 0 {
		t.Errorf("%d artifacts require %q, chose %d", len(d.Candidates[1].Artifacts), wantsOf(d.Candidates[1]), d.Choice)
	}
	d = explain(t, newTestResolver(t, r, testkit.Node(1)), app)
	if c := d.Candidates[1]; c.Reason != "needs cpu.cpuid AVX2 (absent)" {
		t.Errorf("reason %q", c.Reason)
	}
}
