// Package registrytest holds the cases that a registry has to pass for imagefit's
// client, after the OCI distribution specification: as much of it as the client
// relies on. They run on the fake registry of the unit tests and, from the
// integration module, on real ones.
package registrytest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry is an empty registry. What is put into it goes to one repository.
type Registry interface {
	// URL is where the registry is reached, such as http://127.0.0.1:5000.
	URL() string
	// Repository is the name of the repository.
	Repository() string
	// PutBlob stores a blob.
	PutBlob(t testing.TB, body []byte)
	// PutManifest stores a manifest or an index, under a tag where there is one. All
	// blobs and manifests that it names are there by then.
	PutManifest(t testing.TB, tag, mediaType string, body []byte)
}

// Options say what a registry lacks, as many do.
type Options struct {
	NoReferrersAPI bool
}

// Conformance runs all cases that need no credentials, each on a registry of its own.
func Conformance(t *testing.T, opts Options, start func(t *testing.T) Registry) {
	tests := map[string]func(*testing.T, client){
		"a manifest is had by tag and by digest": manifests,
		"an index is had by tag and by digest":   indexes,
		"HEAD answers as GET, without a body":    heads,
		"a tag moves":                            moves,
		"what is not there is 404":               nothing,
		"a malformed reference is 4xx":           nonsense,
		"a blob is had by its digest":            blobs,
	}
	if opts.NoReferrersAPI {
		tests["there is no referrers API, but the tag"] = fallback
	} else {
		tests["referrers are listed in full"] = referrers
		tests["what nothing refers to has an empty list"] = unreferred
		tests["a filter is applied and declared, or neither"] = filtered
	}
	run(t, start, tests)
}

func run(t *testing.T, start func(t *testing.T) Registry, tests map[string]func(*testing.T, client)) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{DisableKeepAlives: true}
			test(t, client{Registry: start(t), http: &http.Client{Transport: transport}})
		})
	}
}

// client asks over HTTP, as plainly as can be.
type client struct {
	Registry

	http *http.Client
}

// answer is what came, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request for a path below the repository, such as "manifests/1".
func (c client) ask(t *testing.T, method, path string) answer {
	t.Helper()
	return c.send(t, method, c.at(path), "")
}

func (c client) at(path string) string { return c.URL() + "/v2/" + c.Repository() + "/" + path }

func (c client) send(t *testing.T, method, url, authorization string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", strings.Join([]string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, "*/*"}, ", "))
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	reply, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{reply.StatusCode, reply.Header, body}
}

// put stores a manifest and returns its descriptor.
func (c client) put(t *testing.T, tag, mediaType string, manifest any) (ocispec.Descriptor, []byte) {
	t.Helper()
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	c.PutManifest(t, tag, mediaType, body)
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}, body
}

// image stores an image whose config holds the text.
func (c client) image(t *testing.T, tag, text string) (ocispec.Descriptor, []byte) {
	t.Helper()
	config := c.blob(t, ocispec.MediaTypeImageConfig, `{"architecture": "amd64", "os": "linux", "author": "`+text+`"}`)
	return c.put(t, tag, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{},
	})
}

func (c client) blob(t *testing.T, mediaType, text string) ocispec.Descriptor {
	t.Helper()
	c.PutBlob(t, []byte(text))
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
}

// index is an index of some entries.
func index(entries ...ocispec.Descriptor) ocispec.Index {
	return ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: append([]ocispec.Descriptor{}, entries...),
	}
}

// wantContent checks an answer that brings a manifest or an index.
func wantContent(t *testing.T, what string, got answer, desc ocispec.Descriptor, body []byte) {
	t.Helper()
	if got.status != http.StatusOK || !bytes.Equal(got.body, body) {
		t.Errorf("%s: %d with %q, want 200 with %q", what, got.status, got.body, body)
	}
	wantHeaders(t, what, got, desc)
}

func wantHeaders(t *testing.T, what string, got answer, desc ocispec.Descriptor) {
	t.Helper()
	for key, want := range map[string]string{
		"Content-Type": desc.MediaType, "Docker-Content-Digest": desc.Digest.String(), "Content-Length": strconv.FormatInt(desc.Size, 10),
	} {
		if got.header.Get(key) != want {
			t.Errorf("%s: %s is %q, want %q", what, key, got.header.Get(key), want)
		}
	}
}

// wantRefused checks an answer with an error: its status, and a body with one of the
// codes of the specification.
func wantRefused(t *testing.T, what string, got answer, status int, codes ...string) {
	t.Helper()
	var body struct{ Errors []struct{ Code string } }
	err := json.Unmarshal(got.body, &body)
	if got.status != status || err != nil || len(body.Errors) == 0 {
		t.Errorf("%s: %d with %q, want %d with errors", what, got.status, got.body, status)
		return
	}
	for _, code := range codes {
		if body.Errors[0].Code == code {
			return
		}
	}
	t.Errorf("%s: code %q, want one of %v", what, body.Errors[0].Code, codes)
}
