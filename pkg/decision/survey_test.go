package decision

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// nested makes an index within an index within ..., of this depth.
func nested(r *fakeregistry.Registry, depth int, entries ...ocispec.Descriptor) ocispec.Descriptor {
	inner := r.Index("inner", entries...)
	if depth > 1 {
		return nested(r, depth-1, inner)
	}
	return inner
}

// What an index may cost is bounded, and what is beyond the bounds is said, and is
// never a reason to refuse.
func TestASurveyIsBounded(t *testing.T) {
	t.Parallel()
	of := func(n int, one func(i int) ocispec.Descriptor) (entries []ocispec.Descriptor) {
		for i := range n {
			entries = append(entries, one(i))
		}
		return entries
	}
	tests := []struct {
		name       string
		push       func(r *fakeregistry.Registry) []ocispec.Descriptor
		candidates int
		left       string // why an entry is not read
		requests   int    // for content
	}{
		{"as deep as is read", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			return []ocispec.Descriptor{nested(r, maxDepth-1, r.Image("linux/amd64/v4", "a"))}
		}, 1, "", maxDepth - 1},
		{"deeper", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			return []ocispec.Descriptor{nested(r, maxDepth, r.Image("linux/amd64/v4", "a"))}
		}, 0, "not read: it is within 4 indexes", maxDepth - 1},
		{"many indexes", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			return of(2*maxNested, func(i int) ocispec.Descriptor { return r.Index("inner", r.Image("linux/amd64/v4", fmt.Sprint(i))) })
		}, maxNested, "not read: it is one of more than 8 indexes", maxNested},
		{"the same index again and again", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			inner := r.Index("inner", r.Image("linux/amd64/v4", "a"))
			return of(3, func(int) ocispec.Descriptor { return inner })
		}, 3, "", 1},
		{"many entries", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			other := r.Image("linux/arm64", "a")
			return of(2, func(i int) ocispec.Descriptor {
				return r.Index("inner", append(of(600, func(int) ocispec.Descriptor { return other }), r.Image("linux/amd64/v4", fmt.Sprint(i)))...)
			})
		}, 1, "not read: with it, the index has more than 1000 entries", 2},
		{"many without a platform", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			return of(2*maxInspected, func(i int) ocispec.Descriptor {
				image := r.Image("linux/amd64/v4", fmt.Sprint(i))
				image.Platform = nil
				return image
			})
		}, maxInspected, "not read: it states no platform, as more than 8 entries do", 2 * maxInspected},
		{"a huge index", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			return []ocispec.Descriptor{r.Manifest(ocispec.MediaTypeImageIndex, []byte(`{"manifests":[]}`+strings.Repeat(" ", maxBody)))}
		}, 0, "not read: with it, the index has more than 4194304 bytes", 0},
		{"an index that is not one", func(r *fakeregistry.Registry) []ocispec.Descriptor {
			return []ocispec.Descriptor{r.Manifest(ocispec.MediaTypeImageIndex, []byte(`[]`))}
		}, 0, "cannot be read: read index", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			r.Index("1", append(tt.push(r), r.Image("linux/amd64/v4", "v4"))...)
			d := decide(t, newTestResolver(t, r, testkit.Node(3)), app)
			if len(d.Candidates) != tt.candidates+1 || d.Choice != None {
				t.Errorf("%d candidates, want %d; chose %s", len(d.Candidates), tt.candidates+1, chosen(d))
			}
			if left := slices.ContainsFunc(d.Others, func(o Other) bool { return strings.HasPrefix(o.Reason, tt.left) }); left != (tt.left != "") {
				t.Errorf("others %+v, want %q", d.Others, tt.left)
			}
			if d.Refused() != (tt.left == "") {
				t.Errorf("refused %t: %s", d.Refused(), d.Reason)
			}
			requests := slices.DeleteFunc(r.Requests(), func(asked string) bool {
				return asked == "GET manifests/1" || strings.Contains(asked, "referrers/")
			})
			if len(requests) != tt.requests {
				t.Errorf("%d requests, want %d", len(requests), tt.requests)
			}
		})
	}
}

// An entry that the registry does not give out is set aside, and tried again with the
// next pull.
func TestAnEntryThatCannotBeReadIsSetAside(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests, http.StatusBadGateway} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			inner := r.Index("inner", r.Image("linux/amd64/v3", "v3"))
			r.Index("1", inner, r.Image("linux/amd64", "plain"))
			r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.HasSuffix(req.URL.Path, "/manifests/"+inner.Digest.String()) {
					return false
				}
				w.WriteHeader(status)
				return true
			})
			resolver := newTestResolver(t, r, testkit.Node(3))
			d := decide(t, resolver, app)
			if chosen(d) != "linux/amd64" || len(d.Others) != 1 || !strings.HasPrefix(d.Others[0].Reason, "cannot be read: ") {
				t.Errorf("chose %s, others %+v", chosen(d), d.Others)
			}
			r.Answer(nil)
			if status == http.StatusNotFound {
				return // as long as the decision is remembered, that is so
			}
			if again := decide(t, resolver, app); chosen(again) != "linux/amd64/v3" {
				t.Errorf("the second time chose %s", chosen(again))
			}
		})
	}
}

func TestArtifactsOfAnIndexWithinTheIndexApplyToItsEntries(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	inner := r.Index("inner", r.Image("linux/amd64/v3", "v3"))
	outer := r.Index("1", inner, r.Image("linux/amd64", "plain"))
	r.Attach(inner, fakeregistry.Artifact{Attributes: avx512})
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	if d := decide(t, resolver, app); chosen(d) != "linux/amd64" || d.Candidates[0].Outcome != selector.Unfit {
		t.Errorf("chose %s: %+v", chosen(d), d.Candidates)
	}
	r.Attach(outer, fakeregistry.Artifact{Attributes: avx2}) // what is nearer goes first
	if d := decide(t, newTestResolver(t, r, testkit.Node(3, "AVX2")), app); chosen(d) != "linux/amd64" || d.Candidates[0].Outcome != selector.Unfit {
		t.Errorf("chose %s: %+v", chosen(d), d.Candidates)
	}
}

// The platform of a single image is that of its config, and is evaluated as that of
// an index entry is.
func TestASingleImageHasThePlatformOfItsConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		level        int
		outcome      string // or "none": no candidate
		reason       string
	}{
		{"plain", `{"os":"linux","architecture":"amd64"}`, 1, "fits", "is a single image that fits"},
		{"a level that is there", `{"os":"linux","architecture":"amd64","variant":"v3"}`, 3, "fits", "is a single image that fits"},
		{"a level that is not", `{"os":"linux","architecture":"amd64","variant":"v3"}`, 2, "does not fit", "does not fit this node: it needs cpu.x86_64 level >= 3 (is 2)"},
		{"os.features", `{"os":"linux","architecture":"amd64","os.features":["erofs"]}`, 1, "unknown", "may fit: it needs platform/os.features erofs"},
		{"null features", `{"os":"linux","architecture":"amd64","os.features":null,"os.version":""}`, 1, "fits", "is a single image that fits"},
		{"os.version of Linux", `{"os":"linux","architecture":"amd64","os.version":"6.1"}`, 1, "fits", "is a single image that fits"},
		{"another architecture", `{"os":"linux","architecture":"arm64"}`, 1, "none", "is a single image for linux/arm64, and this node is linux/amd64"},
		{"another system", `{"os":"windows","architecture":"amd64","os.version":"10.0.20348.1"}`, 1, "none", "is a single image for windows/amd64 10.0.20348.1, and this node is linux/amd64"},
		{"no platform", `{}`, 1, "fits", "is a single image that fits"},
		{"not JSON", `{`, 1, "fits", "is a single image that fits"},
		{"features of the wrong kind", `{"os":"linux","architecture":"amd64","os.features":7}`, 1, "fits", "is a single image that fits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			config := r.Blob(ocispec.MediaTypeImageConfig, tt.config)
			r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config}, "1")
			resolver := newTestResolver(t, r, testkit.Node(tt.level))
			d := decide(t, resolver, app)
			got := "none"
			if len(d.Candidates) > 0 {
				got = d.Candidates[0].Outcome.String()
			}
			if got != tt.outcome || !strings.Contains(d.Reason, tt.reason) || d.Refused() != (tt.outcome == "does not fit") {
				t.Errorf("%s: %s, want %s: %s", got, d.Reason, tt.outcome, tt.reason)
			}
			if got == "none" {
				return
			}
			if err := resolver.Remember("sha256:x", d, 0); err != nil {
				t.Fatal(err)
			}
			if verdict, err := recall(resolver, "sha256:x", ""); err != nil || verdict.Outcome.String() != tt.outcome {
				t.Errorf("admission: %s, %v", verdict.Outcome, err)
			}
		})
	}
}

// A single manifest costs its config, once.
func TestTheConfigOfASingleImageIsReadOnce(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a", "1")
	resolver := newTestResolver(t, r, testkit.Node(1))
	for i, want := range [][]string{
		{"GET manifests/1", "GET blobs/", "GET referrers/" + image.Digest.String()},
		{"HEAD manifests/1"},
	} {
		decide(t, resolver, app)
		got := r.Requests()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("pull %d: requests %q, want %q", i+1, got, want)
		}
	}
}

func TestASingleArtifactIsNotEvaluatedAsAnImage(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.model.v1", Config: ocispec.DescriptorEmptyJSON,
	}, "1")
	d := decide(t, newTestResolver(t, r, testkit.Node(1)), app)
	if len(d.Candidates) != 1 || d.Candidates[0].Platform != "" || d.Refused() || !d.AsRuntime() {
		t.Errorf("%+v", d)
	}
	for _, asked := range r.Requests() {
		if strings.Contains(asked, "blobs/") {
			t.Errorf("asked %s", asked)
		}
	}
}

// A node whose architecture is not known refuses nothing for its platform.
func TestASingleImageIsForANodeOfUnknownArchitecture(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.Image("linux/arm64", "a", "1")
	if d := decide(t, newTestResolver(t, r, facts.New("linux", "", facts.Features{})), app); len(d.Candidates) != 1 || d.Refused() {
		t.Errorf("%+v", d)
	}
}

// strict is a runtime that looks for the host's own platform alone.
type strict struct{}

func (strict) WillUnpack(ocispec.Platform) bool { return true }

func (strict) Matches() platforms.MatchComparer {
	return platforms.OnlyStrict(ocispec.Platform{OS: "linux", Architecture: "amd64"})
}

func TestTheDefaultIsWhatThisRuntimeLooksFor(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	r.Index("1", r.Image("linux/386", "a"))
	resolver := newTestResolver(t, r, testkit.Node(1))
	if d := decide(t, resolver, app); d.Default != 0 || chosen(d) != "linux/386" {
		t.Errorf("default %d, chose %s", d.Default, chosen(d))
	}
	resolver = newTestResolver(t, r, testkit.Node(1))
	resolver.runtime = strict{}
	if d := decide(t, resolver, app); d.Default != None || chosen(d) != "linux/386" {
		t.Errorf("default %d, chose %s", d.Default, chosen(d))
	}
}
