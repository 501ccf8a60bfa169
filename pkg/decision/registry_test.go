package decision

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
)

// testRegistry is a registry with one repository, app, on a real listener. It
// serves what a test put there, right or wrong, and counts the requests.
type testRegistry struct {
	*httptest.Server

	mu        sync.Mutex
	contents  map[string]content // by "manifests/latest", "blobs/sha256:..."
	referrers map[digest.Digest][]ocispec.Descriptor
	seen      []string // "HEAD manifests/latest"
	hook      func(w http.ResponseWriter, r *http.Request) bool
}

type content struct {
	mediaType string
	body      []byte
}

func newTestRegistry(t testing.TB) *testRegistry {
	t.Helper()
	r := &testRegistry{contents: map[string]content{}, referrers: map[digest.Digest][]ocispec.Descriptor{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *testRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, path, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/")
	if rest, ok := strings.CutPrefix(path, "busybox/"); ok { // of library/busybox
		path = rest
	}
	r.mu.Lock()
	r.seen = append(r.seen, req.Method+" "+path)
	c, ok := r.contents[path]
	hook := r.hook
	if subject, isReferrers := strings.CutPrefix(path, "referrers/"); isReferrers {
		list := slices.Concat([]ocispec.Descriptor{}, r.referrers[digest.Digest(subject)])
		body, _ := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: list})
		c, ok = content{ocispec.MediaTypeImageIndex, body}, true
	}
	r.mu.Unlock()
	if hook != nil && hook(w, req) {
		return
	}
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", c.mediaType)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(c.body).String())
	http.ServeContent(w, req, "", time.Time{}, strings.NewReader(string(c.body)))
}

// answer sets what is asked before the contents are; nil takes it away.
func (r *testRegistry) answer(hook func(w http.ResponseWriter, r *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = hook
}

// requests returns what was asked since the last call.
func (r *testRegistry) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// manifest stores a manifest or index under its digest and the tags.
func (r *testRegistry) manifest(mediaType string, m any, tags ...string) ocispec.Descriptor {
	body, isRaw := m.([]byte)
	if !isRaw {
		body, _ = json.Marshal(m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digest.FromBytes(body)
	for _, ref := range append(tags, d.String()) {
		r.contents["manifests/"+ref] = content{mediaType, body}
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

func (r *testRegistry) blob(mediaType, body string) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digest.FromString(body)
	r.contents["blobs/"+d.String()] = content{"application/octet-stream", []byte(body)}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

// image stores an image manifest for a platform, such as "linux/amd64/v3", and
// returns its entry for an index; name makes it differ from others.
func (r *testRegistry) image(platform, name string, tags ...string) ocispec.Descriptor {
	config := r.blob(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"name":%q,"platform":%q}`, name, platform))
	desc := r.manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config}, tags...)
	parts := append(strings.Split(platform, "/"), "", "")
	desc.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
	return desc
}

func (r *testRegistry) index(tag string, entries ...ocispec.Descriptor) ocispec.Descriptor {
	return r.manifest(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}, tag)
}

// artifact is a compatibility artifact to attach; the zero value of a field
// means what a right one has.
type artifact struct {
	attributes  string // the inside of a group, such as `"cpu-cpuid.AVX2": true`
	body        string // in place of one with the attributes
	layerType   string
	listedType  string // in the list of referrers; "none" for none
	annotations map[string]string
	change      func(m *ocispec.Manifest)
}

// attach stores an artifact and lists it as a referrer of the subject.
func (r *testRegistry) attach(subject ocispec.Descriptor, a artifact) ocispec.Descriptor {
	if a.body == "" {
		a.body = `{"compatibilities": {"io.kubernetes.nfd": {` + a.attributes + `}}}`
	}
	if a.layerType == "" {
		a.layerType = dialect.LayerTypeOutline
	}
	of := subject
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: dialect.ArtifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{r.blob(a.layerType, a.body)},
		Subject: &of, Annotations: a.annotations,
	}
	if a.change != nil {
		a.change(&m)
	}
	desc := r.manifest(ocispec.MediaTypeImageManifest, m)
	switch desc.ArtifactType, desc.Annotations = dialect.ArtifactType, maps.Clone(a.annotations); a.listedType {
	case "":
	case "none":
		desc.ArtifactType = ""
	default:
		desc.ArtifactType = a.listedType
	}
	r.list(subject, desc)
	return desc
}

func (r *testRegistry) list(subject, referrer ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.referrers[subject.Digest] = append(r.referrers[subject.Digest], referrer)
}

// reach returns a Registry for which registry.example and docker.io are r.
func (r *testRegistry) reach(t testing.TB) *registry.Registry {
	t.Helper()
	dir := t.TempDir()
	for _, host := range []string{"registry.example", "docker.io"} {
		if err := os.Mkdir(filepath.Join(dir, host), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, host, "hosts.toml"), fmt.Appendf(nil, "server = %q\n", r.URL), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reg := registry.New(registry.Options{HostsPath: dir})
	t.Cleanup(reg.Close)
	return reg
}
