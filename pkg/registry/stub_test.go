package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

type stored struct {
	media string
	body  []byte
}

// stub is the kit's registry, without a referrers API, by the paths of requests.
// hook may answer first.
type stub struct {
	*fakeregistry.Registry

	hook func(w http.ResponseWriter, r *http.Request) bool
}

func newStub(t *testing.T) *stub {
	t.Helper()
	return newStubWith(t, fakeregistry.Options{NoReferrersAPI: true})
}

func newStubWith(t *testing.T, o fakeregistry.Options) *stub {
	t.Helper()
	s := &stub{Registry: fakeregistry.New(t, o)}
	s.Answer(func(w http.ResponseWriter, r *http.Request) bool { return s.hook != nil && s.hook(w, r) })
	return s
}

func (s *stub) host() string { return s.Host() }

// put stores content under a path, such as "app/manifests/1" or "/elsewhere".
func (s *stub) put(path, media string, body []byte) ocispec.Descriptor {
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + path
	}
	s.Serve(path, media, body)
	return ocispec.Descriptor{MediaType: media, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

// putManifest stores a manifest under its digest and a tag.
func (s *stub) putManifest(repo, tag, media string, body []byte) ocispec.Descriptor {
	return s.In(repo).Manifest(media, body, tag)
}

// requests lists what was asked, as "METHOD path", from a point on.
func (s *stub) requests() []string {
	var lines []string
	for _, r := range s.Recorded() {
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
	var values []string
	for _, r := range s.Recorded() {
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
