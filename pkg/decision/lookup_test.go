package decision

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// TestListsOfReferrersAgeAndServeWhileTheRegistryFails has lists grow old, and the registry fail to give new ones.
func TestListsOfReferrersAgeAndServeWhileTheRegistryFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		ttl, staleFor time.Duration
		age           time.Duration
		asks          bool
		serves        bool // where the registry fails
	}{
		{"fresh", time.Hour, 0, time.Hour - time.Second, false, true},
		{"out of date", time.Hour, 0, time.Hour, true, false},
		{"serves longer", time.Hour, time.Hour, 2*time.Hour - time.Second, true, true},
		{"not for ever", time.Hour, time.Hour, 2 * time.Hour, true, false},
		{"always asked for", 0, time.Hour, time.Second, true, true},
		{"always asked for, and old", 0, time.Hour, time.Hour, true, false},
		{"the clock was set back", time.Hour, time.Hour, -time.Hour, true, true},
		{"the clock was set back, no other serves", time.Hour, 0, -time.Hour, true, true},
	}
	for _, tt := range tests {
		for _, sick := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sick %t", tt.name, sick), func(t *testing.T) {
				t.Parallel()
				r := newTestRegistry(t)
				image := r.Image("linux/amd64", "a")
				r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
				r.Index("1", image)
				resolver := newTestResolver(t, r, testkit.Node(1))
				change(resolver, func(r *Rules) { r.ReferrersTTL, r.StaleFor = tt.ttl, tt.staleFor })
				learn := func(t *testing.T) {
					decide(t, resolver, app)
					resolver.registry.Close() // what waits for the network keeps the clock from moving
				}
				if tt.age < 0 {
					learn(t) // of all times; it is the year 2000 in there
				}
				synctest.Test(t, func(t *testing.T) {
					if tt.age >= 0 {
						learn(t)
						time.Sleep(tt.age)
					}
					r.Requests()
					r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
						hit := sick && strings.Contains(req.URL.Path, "/referrers/")
						if hit {
							w.WriteHeader(http.StatusBadGateway)
						}
						return hit
					})
					d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app})
					if good := err == nil && d.Refused(); good != (tt.serves || !sick) {
						t.Errorf("decided %+v, %v", d, err)
					}
					if asked := strings.Join(r.Requests(), " "); strings.Contains(asked, "referrers/") != tt.asks {
						t.Errorf("asked %s", asked)
					}
					resolver.registry.Close()
				})
			})
		}
	}
}

// Without the referrers API, the policy says what stands in for it.
func TestPolicyAnswersForARegistryWithoutReferrersAPI(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	attached := r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
	tag := strings.Replace(image.Digest.String(), ":", "-", 1)
	r.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{attached}}, tag)
	r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
		hit := strings.Contains(req.URL.Path, "/referrers/")
		if hit {
			http.NotFound(w, req)
		}
		return hit
	})
	resolver := newTestResolver(t, r, testkit.Node(1))
	change(resolver, func(r *Rules) { r.ReferrersTTL = 0 })
	// One after the other, with one cache: what one policy learned is not for the
	// next.
	for _, tt := range []struct {
		policy string
		want   string
		tags   bool
	}{
		{policy.None, "fits", false},
		{policy.Tag, "does not fit", true},
		{policy.Error, "error", false},
		{policy.None, "fits", false},
	} {
		change(resolver, func(r *Rules) { r.Policy.NoReferrersAPI = tt.policy })
		r.Requests()
		d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app})
		got := "error"
		if err == nil {
			got = d.Candidates[0].Outcome.String()
		}
		if got != tt.want || got == "error" && !errors.Is(err, registry.ErrNoReferrersAPI) {
			t.Errorf("%s: %s, want %s: %v", tt.policy, got, tt.want, err)
		}
		if asked := strings.Join(r.Requests(), " "); strings.Contains(asked, tag) != tt.tags {
			t.Errorf("%s: asked %s", tt.policy, asked)
		}
	}
}
