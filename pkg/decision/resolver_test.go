package decision

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
)

func TestReferencesAreNormalisedAsByTheRuntime(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	var index ocispec.Descriptor
	for _, r := range []*fakeregistry.Registry{r, r.In("library/busybox")} {
		index = pushLevels(r)
		r.Index("latest", r.Image("linux/amd64", "latest"))
	}
	at := "@" + index.Digest.String()
	tests := []struct {
		reference, want, repository string
		asked                       string
	}{
		{"busybox", "docker.io/library/busybox:latest", "docker.io/library/busybox", "manifests/latest"},
		{"busybox:1", "docker.io/library/busybox:1", "docker.io/library/busybox", "manifests/1"},
		{"docker.io/busybox:1", "docker.io/library/busybox:1", "docker.io/library/busybox", "manifests/1"},
		{"busybox" + at, "docker.io/library/busybox" + at, "docker.io/library/busybox", "manifests/" + at[1:]},
		{"registry.example/app", "registry.example/app:latest", "registry.example/app", "manifests/latest"},
		{app, app, "registry.example/app", "manifests/1"},
		{"registry.example/app" + at, "registry.example/app" + at, "registry.example/app", "manifests/" + at[1:]},
		{"registry.example/app:gone" + at, "registry.example/app" + at, "registry.example/app", "manifests/" + at[1:]},
	}
	resolver := newTestResolver(t, r, testkit.Node(1))
	for _, test := range tests { // one after the other, for the requests are looked at
		r.Requests()
		d := decide(t, resolver, test.reference)
		if d.Reference != test.want || d.Repository != test.repository {
			t.Errorf("%s: reference %s, repository %s, want %s and %s", test.reference, d.Reference, d.Repository, test.want, test.repository)
		}
		if asked := r.Requests(); len(asked) == 0 || !strings.HasSuffix(asked[0], " "+test.asked) {
			t.Errorf("%s: asked %q, want %s first", test.reference, asked, test.asked)
		}
	}
}

func TestABadReferenceIsAShortError(t *testing.T) {
	t.Parallel()
	resolver := newTestResolver(t, newTestRegistry(t), testkit.Node(1))
	for _, ref := range []string{"", "UPPER", "a b", "x@sha256:1", "a\nb", strings.Repeat("x", 1<<20)} {
		_, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: ref})
		if err == nil || len(err.Error()) > 2*maxSentence || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: error %.200v", ref, err)
		}
	}
}

// TestNothingIsDecidedWhereTheRegistryFails lets one kind of request fail in several ways. Whatever
// could not be asked, nothing is decided.
func TestNothingIsDecidedWhereTheRegistryFails(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	failures := []struct {
		name   string
		answer http.HandlerFunc
		kind   error // of the answer to a manifest, where it has one
	}{
		{"401", status(401), registry.ErrUnauthorized},
		{"403", status(403), registry.ErrUnauthorized},
		{"404", status(404), registry.ErrNotFound},
		{"500", status(500), nil},
		{"429", status(429), nil},
		{"hangs", hang, context.DeadlineExceeded},
		{"hangs up", hangUp, nil},
	}
	stages := []struct {
		name, part string
		fine       []string // failures that mean there is nothing
	}{
		{"resolve", "/manifests/1", nil},
		{"artifact", "/manifests/sha256:", []string{"404"}},         // a broken artifact
		{"referrers", "/referrers/", []string{"404", "401", "403"}}, // a registry without the API, or with none for these credentials
		{"artifact body", "/blobs/", []string{"404"}},               // a broken artifact
	}
	for _, stage := range stages {
		for _, failure := range failures {
			t.Run(stage.name+" "+failure.name, func(t *testing.T) {
				t.Parallel()
				r := newTestRegistry(t)
				image := r.Image("linux/amd64", "a")
				r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
				r.Index("1", image)
				r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
					hit := strings.Contains(req.URL.Path, stage.part)
					if hit {
						failure.answer(w, req)
					}
					return hit
				})
				resolver := newTestResolver(t, r, testkit.Node(1))
				if failure.name == "hangs" {
					change(resolver, func(r *Rules) { r.Timeout = 300 * time.Millisecond })
				}
				d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app})
				if slices.Contains(stage.fine, failure.name) {
					if err != nil || d.Choice != 0 {
						t.Errorf("decision %+v, error %v, want the choice without the artifact", d, err)
					}
					return
				}
				if err == nil {
					t.Fatalf("decided: %s", d.Reason)
				}
				if failure.kind != nil && !errors.Is(err, failure.kind) {
					t.Errorf("error %v is not %v", err, failure.kind)
				}
			})
		}
	}
}

func TestADecisionMakesFewRequests(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64/v3", "b")
	index := r.Index("1", a, b)
	r.Attach(a, fakeregistry.Artifact{Attributes: avx2})
	r.Attach(b, fakeregistry.Artifact{Attributes: avx2, Annotations: map[string]string{"x": "y"}})
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	first := decide(t, resolver, app)
	asked := r.Requests()
	// The index by its tag; three lists; two artifact manifests; the body, which is
	// one and the same, once or, where both asked at a time, twice.
	if len(asked) != 7 && len(asked) != 8 {
		t.Errorf("the first decision asked %d times: %q", len(asked), asked)
	}
	second := decide(t, resolver, app)
	if asked := r.Requests(); len(asked) != 1 || asked[0] != "HEAD manifests/1" {
		t.Errorf("the second decision asked %q, want only the tag", asked)
	}
	if first.Reason != second.Reason || first.Choice != second.Choice || first.Facts != second.Facts {
		t.Errorf("the second decision differs: %+v, %+v", first, second)
	}

	// In another order of time and with an index just fetched, the artifacts are
	// those that are kept.
	change(resolver, func(r *Rules) { r.ReferrersTTL = 0 })
	decide(t, resolver, app)
	asked = r.Requests()
	slices.Sort(asked)
	want := []string{
		"GET referrers/" + index.Digest.String(), "GET referrers/" + a.Digest.String(), "GET referrers/" + b.Digest.String(),
		"HEAD manifests/1",
	}
	slices.Sort(want)
	if !slices.Equal(asked, want) {
		t.Errorf("with lists out of date it asked %q, want %q", asked, want)
	}
}

func TestListsOfReferrersAreRequestedAgainAfterTheirTTL(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	resolver := newTestResolver(t, r, testkit.Node(1))
	if d := decide(t, resolver, app); d.Refused() {
		t.Fatal(d.Reason)
	}
	r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
	if d := decide(t, resolver, app); d.Refused() {
		t.Error("the list was asked for again within its time")
	}
	change(resolver, func(r *Rules) { r.ReferrersTTL = time.Nanosecond })
	if d := decide(t, resolver, app); !d.Refused() {
		t.Error("the list was not asked for again after its time")
	}
}

func TestAnEarlierListServesWhileTheRegistryFails(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
	resolver, log := newTestResolver(t, r, testkit.Node(1)), new(testkit.Log)
	resolver.log = log.Logger()
	change(resolver, func(r *Rules) { r.ReferrersTTL = 0 })
	decide(t, resolver, app)
	for _, failure := range []struct {
		answer  http.HandlerFunc
		timeout time.Duration // leaves time for the other requests
	}{
		{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, time.Minute},
		{func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 2 * time.Second},
	} {
		r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
			hit := strings.Contains(req.URL.Path, "/referrers/")
			if hit {
				failure.answer(w, req)
			}
			return hit
		})
		before := log.Count("using the list of an earlier pull")
		change(resolver, func(r *Rules) { r.Timeout = failure.timeout })
		d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app})
		if err != nil || !d.Refused() {
			t.Errorf("the list of the earlier pull was not used: %+v, %v", d, err)
		}
		if log.Count("using the list of an earlier pull") != before+2 { // of index and image
			t.Error("the log does not say so")
		}
	}
}

func TestDecisionsAreMadeWithoutAUsableCache(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
	r.Index("1", a, b)
	r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
	r.Attach(b, fakeregistry.Artifact{Attributes: avx2})
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	state, err := cache.Open(path, 1<<20)
	if err == nil {
		t.Fatal("a file was opened as a cache")
	}
	resolver.cache = state
	for range 2 {
		if d := decide(t, resolver, app); d.Choice != 1 || d.Candidates[0].Outcome != selector.Unfit {
			t.Errorf("choice %d: %s", d.Choice, d.Reason)
		}
	}
}

// TestDamagedCacheFilesAreFetchedAgain changes each kept file; what is damaged is fetched anew.
func TestDamagedCacheFilesAreFetchedAgain(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
	resolver, dir := newTestResolver(t, r, testkit.Node(1)), t.TempDir()
	state, err := cache.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	resolver.cache = state
	want := decide(t, resolver, app).Reason
	files, err := filepath.Glob(filepath.Join(dir, "objects", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("kept %q, %v", files, err)
	}
	for _, file := range files {
		if err := os.WriteFile(file, []byte(`{"compatibilities": {}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := decide(t, resolver, app).Reason; got != want {
			t.Errorf("with %s damaged: %s, want %s", file, got, want)
		}
	}
}

func TestDecideEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	pushLevels(r)
	ctx, cancel := context.WithCancel(t.Context())
	r.Answer(func(_ http.ResponseWriter, req *http.Request) bool {
		cancel()
		<-req.Context().Done()
		return true
	})
	if _, err := decideAs(ctx, newTestResolver(t, r, testkit.Node(1)), app); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not context.Canceled", err)
	}
}
