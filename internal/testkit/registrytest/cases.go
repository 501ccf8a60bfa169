package registrytest

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func manifests(t *testing.T, c client) {
	desc, body := c.image(t, "1", "a")
	for _, ref := range []string{"1", desc.Digest.String()} {
		wantContent(t, "GET "+ref, c.ask(t, http.MethodGet, "manifests/"+ref), desc, body)
	}
	untagged, body := c.image(t, "", "b")
	wantContent(t, "GET by digest alone", c.ask(t, http.MethodGet, "manifests/"+untagged.Digest.String()), untagged, body)
}

func indexes(t *testing.T, c client) {
	first, _ := c.image(t, "", "a")
	second, _ := c.image(t, "", "b")
	first.Platform, second.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}, &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	desc, body := c.put(t, "1", ocispec.MediaTypeImageIndex, index(first, second))
	for _, ref := range []string{"1", desc.Digest.String()} {
		wantContent(t, "GET "+ref, c.ask(t, http.MethodGet, "manifests/"+ref), desc, body)
	}
}

func heads(t *testing.T, c client) {
	desc, _ := c.image(t, "1", "a")
	for _, ref := range []string{"1", desc.Digest.String()} {
		got := c.ask(t, http.MethodHead, "manifests/"+ref)
		if got.status != http.StatusOK || len(got.body) > 0 {
			t.Errorf("HEAD %s: %d with %q, want 200 without a body", ref, got.status, got.body)
		}
		wantHeaders(t, "HEAD "+ref, got, desc)
	}
	for _, ref := range []string{"none", missing().String()} {
		if got := c.ask(t, http.MethodHead, "manifests/"+ref); got.status != http.StatusNotFound || len(got.body) > 0 {
			t.Errorf("HEAD %s: %d with %q, want 404 without a body", ref, got.status, got.body)
		}
	}
}

func moves(t *testing.T, c client) {
	before, body := c.image(t, "1", "a")
	after, moved := c.image(t, "1", "b")
	wantContent(t, "GET the tag", c.ask(t, http.MethodGet, "manifests/1"), after, moved)
	wantContent(t, "GET what it was", c.ask(t, http.MethodGet, "manifests/"+before.Digest.String()), before, body)
}

func nothing(t *testing.T, c client) {
	const noManifest, noBlob, noName = "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN"
	wantRefused(t, "no repository", c.ask(t, http.MethodGet, "manifests/1"), http.StatusNotFound, noManifest, noName)
	c.image(t, "1", "a")
	wantRefused(t, "no tag", c.ask(t, http.MethodGet, "manifests/none"), http.StatusNotFound, noManifest)
	wantRefused(t, "no digest", c.ask(t, http.MethodGet, "manifests/"+missing().String()), http.StatusNotFound, noManifest)
	wantRefused(t, "no blob", c.ask(t, http.MethodGet, "blobs/"+missing().String()), http.StatusNotFound, noBlob)
	// A tag that looks like that of the referrers tag schema is a tag like others.
	wantRefused(t, "no referrers tag", c.ask(t, http.MethodGet, "manifests/"+tagOf(missing())), http.StatusNotFound, noManifest)
}

func nonsense(t *testing.T, c client) {
	c.image(t, "1", "a")
	for _, path := range []string{"manifests/sha256:short", "blobs/sha256:short"} {
		if got := c.ask(t, http.MethodGet, path); got.status < 400 || got.status > 499 {
			t.Errorf("GET %s: %d, want a 4xx", path, got.status)
		}
	}
}

func blobs(t *testing.T, c client) {
	desc := c.blob(t, "", `{"a": "blob"}`)
	got := c.ask(t, http.MethodGet, "blobs/"+desc.Digest.String())
	if got.status != http.StatusOK || digest.FromBytes(got.body) != desc.Digest || int64(len(got.body)) != desc.Size {
		t.Errorf("GET a blob: %d with %q, want 200 with %s", got.status, got.body, desc.Digest)
	}
}

// missing is the digest of content that does not exist.
func missing() digest.Digest { return digest.FromString("not in any registry") }
