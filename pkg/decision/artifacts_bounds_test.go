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
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

func TestOnlyTheNewestOfManyReferrersAreRead(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	for i := range referrers.MaxOpened + 8 {
		r.Attach(image, fakeregistry.Artifact{
			Attributes:  fmt.Sprintf(`"cpu-cpuid.FLAG%d": true`, i),
			Annotations: map[string]string{ocispec.AnnotationCreated: fmt.Sprintf("2026-01-01T00:00:%02dZ", i)},
		})
	}
	resolver, log := newTestResolver(t, r, testkit.Node(1)), new(testkit.Log)
	resolver.log = log.Logger()
	d := decide(t, resolver, app)
	if want := fmt.Sprintf("needs cpu.cpuid FLAG%d (absent)", referrers.MaxOpened+7); d.Candidates[0].Reason != want {
		t.Errorf("reason %q, want %q: the newest", d.Candidates[0].Reason, want)
	}
	if got := len(r.Requests()); got > 3*referrers.MaxOpened {
		t.Errorf("%d requests", got)
	}
	if log.Count("too many referrers, reading only the newest") != 1 {
		t.Error("the log does not say that not all were looked at")
	}
}

// maxBody is the largest body that a registry is asked for.
const maxBody = 4 << 20

// TestADecisionReadsABoundedNumberOfBytes offers far more to read than one decision may.
func TestADecisionReadsABoundedNumberOfBytes(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	for i := range maxFetched/maxBody + 4 {
		body := fmt.Sprintf(`{"compatibilities": {"x%d": {}}}`, i)
		r.Attach(image, fakeregistry.Artifact{Body: body + strings.Repeat(" ", maxBody-len(body))})
	}
	var read int64
	resolver := newTestResolver(t, r, testkit.Node(1))
	d := decide(t, resolver, app)
	for _, request := range r.Requests() {
		if strings.HasPrefix(request, "GET blobs/") {
			read += maxBody
		}
	}
	if read > maxFetched || d.Choice != 0 {
		t.Errorf("read %d bytes, choice %d", read, d.Choice)
	}
}

// A list of referrers that is too long is an answer about its image: the policy for
// malformed artifacts applies, and what counts of the list decides all the same.
func TestALongListOfReferrersIsMalformedAndNoOutage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, attributes, answer string
		want                     string // outcome
	}{
		{"what is listed fits", avx2, policy.Unknown, "unknown"},
		{"what is listed fits, the rest is ignored", avx2, policy.Ignore, "fits"},
		{"what is listed does not fit", avx512, policy.Unknown, "does not fit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			image := r.Image("linux/amd64", "a")
			r.Index("1", image)
			for i := range 1500 {
				r.List(image, ocispec.Descriptor{
					MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.signature",
					Digest: digest.FromString(fmt.Sprint(i)), Size: 500,
				})
			}
			r.Attach(image, fakeregistry.Artifact{Attributes: tt.attributes})
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, func(r *Rules) { r.Policy.MalformedArtifact = tt.answer })
			for range 2 { // by the registry, and by the cache
				d := decide(t, resolver, app)
				if got := d.Candidates[0].Outcome.String(); got != tt.want {
					t.Errorf("%s, want %s: %s", got, tt.want, d.Reason)
				}
				if want := (policy.Case{Key: "malformed_artifact", Answer: tt.answer}); !slices.Contains(d.Cases, want) {
					t.Errorf("cases %v, want %v", d.Cases, want)
				}
				if tt.want == "unknown" && !strings.Contains(d.Reason, "more than 1000 entries") {
					t.Errorf("reason %q", d.Reason)
				}
			}
		})
	}
}
