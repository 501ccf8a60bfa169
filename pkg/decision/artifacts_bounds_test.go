package decision

import (
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
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
