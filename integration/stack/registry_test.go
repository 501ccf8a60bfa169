package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needWorkload skips tests that push images whose layer holds the real program.
func needWorkload(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the workload is built on Linux only")
	}
}

func closeAfter(t *testing.T, r *Registry, err error) *Registry {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// throughFront is a client of the front, as the proxy will be one.
func throughFront(t *testing.T, r *Registry, repo string) *remote.Repository {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &remote.Repository{
		Client:    &http.Client{Transport: transport},
		Reference: orasregistry.Reference{Registry: r.Host, Repository: repo},
		PlainHTTP: true,
	}
}

func TestReferrersOfEachRegistry(t *testing.T) {
	needWorkload(t)
	tests := map[string]struct {
		start    func(context.Context) (*Registry, error)
		wantType string
		wantAPI  bool
	}{
		"in memory, right":  {func(context.Context) (*Registry, error) { return NewRegistry() }, CompatibilityType, true},
		"sloppy":            {func(context.Context) (*Registry, error) { return NewSloppyRegistry() }, ocispec.MediaTypeEmptyJSON, true},
		"real distribution": {StartDistribution, CompatibilityType, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := test.start(t.Context())
			closeAfter(t, r, err)
			repo := r.Repo("demo/app")
			index, manifests, err := repo.PushIndex(t.Context(), "1", Image{Variant: "a", Attested: true}, Image{Variant: "b"})
			if err != nil {
				t.Fatal(err)
			}
			artifact, err := repo.Attach(t.Context(), manifests[1], Artifact{Body: []byte(`{}`)})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Requests()) > 0 {
				t.Errorf("pushing was recorded: %v", r.Requests())
			}
			client := throughFront(t, r, "demo/app")
			if got, err := client.Resolve(t.Context(), "1"); err != nil || got.Digest != index.Digest {
				t.Errorf("resolve: %v, %v; want %s", got, err, index.Digest)
			}
			var found []ocispec.Descriptor
			err = client.Referrers(t.Context(), manifests[1], "", func(page []ocispec.Descriptor) error {
				found = append(found, page...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || found[0].Digest != artifact.Digest || found[0].ArtifactType != test.wantType {
				t.Errorf("referrers %+v, want %s of type %s", found, artifact.Digest, test.wantType)
			}
			tagSchema := r.Count(http.MethodGet, "/manifests/sha256-[0-9a-f]{64}$")
			if test.wantAPI != (tagSchema == 0) {
				t.Errorf("%d requests for the tag schema, API expected: %v", tagSchema, test.wantAPI)
			}
		})
	}
}

func TestPushedIndexHasEntriesThenAttestations(t *testing.T) {
	needWorkload(t)
	r, err := NewRegistry()
	closeAfter(t, r, err)
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}
	index, manifests, err := r.Repo("a").PushIndex(t.Context(), "t",
		Image{Variant: "x", Platform: platform, Attested: true, Annotations: map[string]string{"k": "v"}}, Image{Variant: "y"})
	if err != nil {
		t.Fatal(err)
	}
	var got ocispec.Index
	fetchJSON(t, throughFront(t, r, "a"), index, &got)
	if len(got.Manifests) != 3 {
		t.Fatalf("index %+v, want 3 entries", got.Manifests)
	}
	first, last := got.Manifests[0], got.Manifests[2]
	if first.Digest != manifests[0].Digest || first.Platform.Variant != "v3" || first.Annotations["k"] != "v" {
		t.Errorf("first entry %+v", first)
	}
	if last.Platform.OS != "unknown" || last.Annotations["vnd.docker.reference.digest"] != first.Digest.String() {
		t.Errorf("attestation %+v", last)
	}
}

func TestFaultsHitTheRequestsTheyName(t *testing.T) {
	r, err := NewRegistry()
	closeAfter(t, r, err)
	manifest, err := r.Repo("a").PushManifest(t.Context(), "t", ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	const patience = 300 * time.Millisecond
	tests := map[string]struct {
		fault Fault
		want  string
	}{
		"none":              {Fault{Path: "/elsewhere"}, "200 as pushed"},
		"another method":    {Fault{Method: "PUT", Status: 500}, "200 as pushed"},
		"status":            {Fault{Path: "/manifests/", Status: 503}, "503"},
		"redirect":          {Fault{Redirect: "http://" + r.Host + "/nowhere"}, "307"},
		"corrupt":           {Fault{Corrupt: true}, "200 changed"},
		"delay":             {Fault{Delay: patience / 10}, "200 as pushed"},
		"delay, too long":   {Fault{Delay: time.Hour}, "timeout"},
		"hang":              {Fault{Hang: true}, "timeout"},
		"trickle":           {Fault{Trickle: time.Millisecond}, "200 as pushed"},
		"trickle, too slow": {Fault{Trickle: time.Hour}, "timeout"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			defer r.Inject(test.fault)()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if got := tryGet(ctx, t, r, manifest); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	t.Run("once only, and recorded", func(t *testing.T) {
		defer r.Inject(Fault{Status: 500, Times: 1})()
		r.Forget()
		got := []string{tryGet(t.Context(), t, r, manifest), tryGet(t.Context(), t, r, manifest)}
		if !slices.Equal(got, []string{"500", "200 as pushed"}) {
			t.Errorf("got %v", got)
		}
		if all := r.Requests(); len(all) != 2 || all[0].Status != 500 || all[1].Status != 200 {
			t.Errorf("recorded %+v", all)
		}
	})
	t.Run("intercepted", func(t *testing.T) {
		r.Intercept(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusTeapot); return true })
		defer r.Intercept(nil)
		if got := tryGet(t.Context(), t, r, manifest); got != "418" {
			t.Errorf("got %s", got)
		}
	})
}

// tryGet says in a word what a GET of a manifest brings.
func tryGet(ctx context.Context, t *testing.T, r *Registry, manifest ocispec.Descriptor) string {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/v2/a/manifests/%s", r.Host, manifest.Digest), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Sprint(resp.StatusCode)
		}
		var body []byte
		if body, err = io.ReadAll(resp.Body); err == nil {
			if string(body) == `{"schemaVersion":2,"manifests":[]}` {
				return "200 as pushed"
			}
			return "200 changed"
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return err.Error()
}

func TestFailureToBuildPeersShowsTheBuildersOutput(t *testing.T) {
	t.Setenv("IMAGEFIT_PEERS", t.TempDir())
	r, err := NewRegistry()
	closeAfter(t, r, err)
	_, err = r.Repo("a").PushImage(t.Context(), "t", Image{})
	if err == nil || !strings.Contains(err.Error(), "read the workload") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Requests that can be made at the same time are one round trip, others are not.
func TestRequestsAtTheSameTimeAreOneRoundTrip(t *testing.T) {
	r, err := NewRegistry()
	closeAfter(t, r, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	ask := func(ctx context.Context, client string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Host+"/v2/", nil)
		if err != nil {
			return err
		}
		req.Header.Set("User-Agent", client+"/1")
		resp, err := transport.RoundTrip(req)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	rounds := r.CountRounds(50 * time.Millisecond)
	for range 3 {
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				client := "many"
				if i == 0 {
					client = "one"
				}
				if err := ask(t.Context(), client); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	if err := ask(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = ask(gone, "gone")
	if got := rounds.Stop(); got["many"] != 3 || got["one"] != 4 {
		t.Errorf("counted %v", got)
	}
	start := len(r.Requests())
	if err := ask(t.Context(), "later"); err != nil || len(r.Requests()) != start+1 {
		t.Errorf("after the count: %v", err)
	}
}
