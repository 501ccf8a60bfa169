package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/reference"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type stored struct {
	media string
	body  []byte
}

// stub is a registry on a real listener: manifests, blobs and referrers by path,
// below any prefix. hook may answer first.
type stub struct {
	*httptest.Server
	hook func(w http.ResponseWriter, r *http.Request) bool
	api  bool

	mu       sync.Mutex
	contents map[string]stored // by "app/manifests/latest" and the like
	seen     []*http.Request
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s := &stub{contents: map[string]stored{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stub) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	c, ok := s.contents[strings.TrimPrefix(r.URL.Path, "/v2/")]
	s.mu.Unlock()
	if s.hook != nil && s.hook(w, r) {
		return
	}
	switch {
	case ok:
	case s.api && strings.Contains(r.URL.Path, "/referrers/"):
		c = stored{ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[]}`)}
	default:
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", c.media)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(c.body).String())
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(c.body)))
}

// put stores content under a path and returns its descriptor.
func (s *stub) put(path, media string, body []byte) ocispec.Descriptor {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contents[path] = stored{media, body}
	return ocispec.Descriptor{MediaType: media, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

// putManifest stores a manifest under its digest and a tag.
func (s *stub) putManifest(repo, tag, media string, body []byte) ocispec.Descriptor {
	desc := s.put(repo+"/manifests/"+tag, media, body)
	return s.put(repo+"/manifests/"+desc.Digest.String(), desc.MediaType, body)
}

// requests lists what was asked, as "METHOD path", from a point on.
func (s *stub) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, r := range s.seen {
		lines = append(lines, r.Method+" "+r.URL.RequestURI())
	}
	return lines
}

func (s *stub) count(part string) int {
	n := 0
	for _, line := range s.requests() {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (s *stub) headers(key string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for _, r := range s.seen {
		if v := r.Header.Get(key); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func index(descs ...ocispec.Descriptor) []byte {
	if descs == nil {
		descs = []ocispec.Descriptor{}
	}
	body, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: descs})
	if err != nil {
		panic(err)
	}
	return body
}

func descOf(text string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
}

func tagOf(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

func testRegistry(t *testing.T, o Options) *Registry {
	t.Helper()
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

func repository(t *testing.T, r *Registry, name string, auth *Auth) *Repository {
	t.Helper()
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := r.Repository(named, auth)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// direct is repository "app" of a stub, reached without hosts.toml.
func direct(t *testing.T, s *stub, auth *Auth) *Repository {
	t.Helper()
	return repository(t, testRegistry(t, Options{}), s.host()+"/app", auth)
}

// hostsFile writes hosts.toml for registry.test and returns the root.
func hostsFile(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "registry.test")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func shortly(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
