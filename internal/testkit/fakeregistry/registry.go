// Package fakeregistry runs a registry within a test: an in-memory one on loopback
// that records what it is asked, lacks what many registries lack, and does wrong
// what a test tells it to. It passes the cases of package registrytest.
package fakeregistry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DefaultRepository is the repository that New starts with.
const DefaultRepository = "app"

// Options say what a registry lacks and whom it lets in.
type Options struct {
	NoReferrersAPI bool
	NoDelete       bool   // of manifests
	ReadOnly       bool   // for whoever may read
	Password       string // of any user; empty lets everybody in
	Strict         bool   // manifests are refused while it lacks what they name
}

// Registry is a registry with methods to fill one of its repositories.
type Registry struct {
	*server

	// Repository is where content is put; In returns another one.
	Repository string
	t          testing.TB
}

type server struct {
	*httptest.Server
	options Options
	memory  *ocimem.Registry
	api     http.Handler

	mu     sync.Mutex
	served map[string]content              // by path, before what the memory has
	listed map[string][]ocispec.Descriptor // by path, in place of the referrers that the memory knows
	hook   func(w http.ResponseWriter, r *http.Request) bool
	seen   []*http.Request
	told   int // how many of them Requests returned
}

type content struct {
	mediaType string
	body      []byte // nil is 404
}

// New starts a registry that ends with the test.
func New(t testing.TB, o Options) *Registry {
	t.Helper()
	s := &server{
		options: o, memory: ocimem.NewWithConfig(&ocimem.Config{LaxChildReferences: !o.Strict}),
		served: map[string]content{}, listed: map[string][]ocispec.Descriptor{},
	}
	s.api = ociserver.New(s.memory, nil)
	s.Server = httptest.NewServer(s)
	started := s.Server // tests may put another in its place
	t.Cleanup(func() {
		started.CloseClientConnections() // which ends handlers that hang on purpose
		started.Close()
	})
	return &Registry{server: s, Repository: DefaultRepository, t: t}
}

// In is the same registry, for another repository.
func (r *Registry) In(repository string) *Registry {
	return &Registry{server: r.server, Repository: repository, t: r.t}
}

// For is the same registry, for another test: the target of a fuzz test, say.
func (r *Registry) For(t testing.TB) *Registry {
	return &Registry{server: r.server, Repository: r.Repository, t: t}
}

// Reference is the repository with a suffix such as ":1", for clients that reach
// the registry under its own address.
func (r *Registry) Reference(suffix string) string { return r.Host() + "/" + r.Repository + suffix }

// Host is the address of the registry.
func (s *server) Host() string { return strings.TrimPrefix(s.URL, "http://") }

// Hosts returns a directory of hosts.toml files that lead from these names to the
// registry.
func (r *Registry) Hosts(names ...string) string {
	r.t.Helper()
	root := r.t.TempDir()
	for _, name := range names {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), fmt.Appendf(nil, "server = %q\n", r.URL), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	return root
}

// Answer scripts faults: the hook is asked first, and returns true where it has
// answered. nil takes it away.
func (s *server) Answer(hook func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// Requests returns what was asked since the last call, as "METHOD PATH" with the
// path below its repository, such as "HEAD manifests/1".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, req := range r.seen[r.told:] {
		path := req.URL.Path
		for _, kind := range []string{"/manifests/", "/blobs/", "/referrers/"} {
			if i := strings.LastIndex(path, kind); i >= 0 {
				path = path[i+1:]
				break
			}
		}
		lines = append(lines, req.Method+" "+path)
	}
	r.told = len(r.seen)
	return lines
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

// Forget forgets the requests so far.
func (s *server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.told = nil, 0
}

// Recorded returns all requests so far. Their bodies are gone.
func (s *server) Recorded() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.seen...)
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	s.mu.Lock()
	s.seen = append(s.seen, r)
	hook := s.hook
	served, isServed := s.served[path]
	if list, ok := s.listed[path]; ok {
		served, isServed = content{ocispec.MediaTypeImageIndex, indexOf(list)}, true
	}
	s.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	_, password, _ := r.BasicAuth()
	switch o := s.options; {
	case o.Password != "" && password != o.Password:
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
	case o.ReadOnly && !reads:
		refuse(w, http.StatusForbidden, "DENIED")
	case o.NoDelete && r.Method == http.MethodDelete:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED")
	case o.NoReferrersAPI && strings.Contains(path, "/referrers/"), reads && isServed && served.body == nil:
		http.NotFound(w, r) // plainly, as registries do that have no such route
	case reads && isServed:
		w.Header().Set("Content-Type", served.mediaType)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(served.body).String())
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(served.body)))
	case o.NoReferrersAPI:
		s.api.ServeHTTP(withoutSubject{w}, r)
	default:
		s.api.ServeHTTP(w, r)
	}
}

func indexOf(entries []ocispec.Descriptor) []byte {
	body, _ := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	})
	return body
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
