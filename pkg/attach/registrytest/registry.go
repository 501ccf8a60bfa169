// Package registrytest runs a registry within a test: a real one, on loopback,
// that can be told to lack what many registries lack.
package registrytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Repository is the one repository that images are put into.
const Repository = "team/app"

// Options say what a registry lacks and whom it lets in.
type Options struct {
	NoReferrersAPI bool
	NoDelete       bool   // of manifests
	Password       string // of the user "author"; empty lets everybody in
	ReadOnly       bool   // for whoever may read
}

// Server is a registry on loopback.
type Server struct {
	*httptest.Server
	t       testing.TB
	options Options
	memory  *ocimem.Registry
	api     http.Handler

	mu   sync.Mutex
	seen []string
}

// New starts a registry that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	return start(t, o, ocimem.New())
}

// NewLax starts a registry that takes manifests with layers that it lacks.
func NewLax(t testing.TB) *Server {
	t.Helper()
	return start(t, Options{}, ocimem.NewWithConfig(&ocimem.Config{LaxChildReferences: true}))
}

func start(t testing.TB, o Options, memory *ocimem.Registry) *Server {
	t.Helper()
	s := &Server{
		t: t, options: o, memory: memory,
		api: ociserver.New(memory, &ociserver.Options{DisableReferrersAPI: o.NoReferrersAPI}),
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	_, password, _ := r.BasicAuth()
	switch {
	case s.options.Password != "" && password != s.options.Password:
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
	case s.options.ReadOnly && !reads:
		refuse(w, http.StatusForbidden, "DENIED")
	case s.options.NoDelete && r.Method == http.MethodDelete:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED")
	case s.options.NoReferrersAPI:
		s.api.ServeHTTP(withoutSubject{w}, r)
	default:
		s.api.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors": [{"code": %q, "message": "not here"}]}`, code)
}

// withoutSubject leaves out the header by which a registry says that it took
// note of a subject.
type withoutSubject struct{ http.ResponseWriter }

func (w withoutSubject) WriteHeader(status int) {
	w.Header().Del("OCI-Subject")
	w.ResponseWriter.WriteHeader(status)
}

// Requests returns the requests since the last call, such as
// "GET /v2/team/app/manifests/1".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// Writes are the requests of a list that change something.
func Writes(requests []string) []string {
	var writes []string
	for _, r := range requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
			writes = append(writes, r)
		}
	}
	return writes
}

// Reference is the repository on this registry with a suffix such as ":1".
func (s *Server) Reference(suffix string) string {
	return strings.TrimPrefix(s.URL, "http://") + "/" + Repository + suffix
}

// Image stores an image for a platform such as "linux/amd64/v3" and returns its
// entry for an index.
func (s *Server) Image(platform, tag string) ocispec.Descriptor {
	s.t.Helper()
	config := s.Blob(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"platform": %q, "tag": %q}`, platform, tag))
	desc := s.Manifest(tag, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{},
	})
	parts := append(strings.Split(platform, "/"), "", "")
	desc.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
	return desc
}

// Index stores an index.
func (s *Server) Index(tag string, entries ...ocispec.Descriptor) ocispec.Descriptor {
	s.t.Helper()
	return s.Manifest(tag, ocispec.MediaTypeImageIndex, ocispec.Index{
		MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	})
}

// Blob stores a blob.
func (s *Server) Blob(mediaType, text string) ocispec.Descriptor {
	s.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
	if _, err := s.memory.PushBlob(context.Background(), Repository, desc, strings.NewReader(text)); err != nil {
		s.t.Fatal(err)
	}
	return desc
}

// Manifest stores a manifest or index under its digest, and a tag if there is
// one. Its type and its annotations are in the descriptor.
func (s *Server) Manifest(tag, mediaType string, manifest any) ocispec.Descriptor {
	s.t.Helper()
	body, err := json.Marshal(manifest)
	if err != nil {
		s.t.Fatal(err)
	}
	desc, err := s.memory.PushManifest(context.Background(), Repository, tag, withVersion(body), mediaType)
	if err != nil {
		s.t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: desc.Digest, Size: desc.Size}
}

// withVersion sets schemaVersion, which nobody likes to write in a test.
func withVersion(body []byte) []byte {
	return []byte(strings.Replace(string(body), `"schemaVersion":0`, `"schemaVersion":2`, 1))
}

// Get returns the manifest of a digest as the registry has it, or nil.
func (s *Server) Get(d digest.Digest) *ocispec.Manifest {
	s.t.Helper()
	r, err := s.memory.GetManifest(context.Background(), Repository, d)
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }()
	var m ocispec.Manifest
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		s.t.Fatal(err)
	}
	return &m
}
