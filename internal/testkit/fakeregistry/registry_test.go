package fakeregistry_test

import (
	"net/http"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/registrytest"
)

// subject is a fake registry to the cases that registries have to pass.
type subject struct{ r *fakeregistry.Registry }

func (s subject) URL() string        { return s.r.URL }
func (s subject) Repository() string { return s.r.Repository }

func (s subject) PutBlob(t testing.TB, body []byte) {
	t.Helper()
	s.r.Blob("application/octet-stream", string(body))
}

func (s subject) PutManifest(t testing.TB, tag, mediaType string, body []byte) {
	t.Helper()
	var tags []string
	if tag != "" {
		tags = []string{tag}
	}
	s.r.Manifest(mediaType, body, tags...)
}

func TestFakeRegistryDoesWhatRegistriesDo(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]fakeregistry.Options{
		"lax": {}, "strict": {Strict: true}, "without referrers": {NoReferrersAPI: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lacks := registrytest.Options{NoReferrersAPI: options.NoReferrersAPI}
			registrytest.Conformance(t, lacks, func(t *testing.T) registrytest.Registry {
				return subject{fakeregistry.New(t, options).In("team/app")}
			})
		})
	}
}

func TestFakeRegistryAsksForCredentials(t *testing.T) {
	t.Parallel()
	login := registrytest.Login{User: "author", Password: "secret"}
	registrytest.AuthConformance(t, login, func(t *testing.T) registrytest.Registry {
		return subject{fakeregistry.New(t, fakeregistry.Options{Password: login.Password})}
	})
}

func TestFakeRegistryDoesWrongWhatItIsTold(t *testing.T) {
	t.Parallel()
	r := fakeregistry.New(t, fakeregistry.Options{})
	image := r.Image("linux/amd64/v3", "a", "1")
	get := func(path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/v2/app/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	manifest := "manifests/" + image.Digest.String()
	r.Remove(manifest)
	if got := get(manifest); got != http.StatusNotFound {
		t.Errorf("a removed manifest: %d", got)
	}
	r.Image("linux/amd64/v3", "a")
	if got := get(manifest); got != http.StatusOK {
		t.Errorf("a manifest that was put again: %d", got)
	}
	r.Manifest(ocispec.MediaTypeImageManifest, []byte(`{"layers": 7}`), "broken")
	if body, _ := r.Content("broken"); get("manifests/broken") != http.StatusOK || string(body) != `{"layers": 7}` {
		t.Errorf("a broken manifest: %s", body)
	}
	r.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusTeapot)
		return true
	})
	if got := get("manifests/1"); got != http.StatusTeapot {
		t.Errorf("a scripted answer: %d", got)
	}
	want := []string{"GET " + manifest, "GET " + manifest, "GET manifests/broken", "GET manifests/1"}
	if got := r.Requests(); !slices.Equal(got, want) || len(r.Requests()) > 0 {
		t.Errorf("requests %q, want %q", got, want)
	}
	if image.Platform.Variant != "v3" || fakeregistry.ImageID("linux/amd64/v3", "a") == fakeregistry.ImageID("linux/amd64", "a") {
		t.Errorf("the image is %+v", image)
	}
}
