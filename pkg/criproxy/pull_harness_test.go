package criproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/critest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	appTag  = "registry.example/app:1"
	appRepo = "registry.example/app"
)

// pullRegistry is a registry on a real listener with one repository and no
// artifacts. fail, where set, answers what it returns true for.
type pullRegistry struct {
	*httptest.Server
	mu       sync.Mutex
	contents map[string][]byte // by tag or digest
	types    map[string]string
	fail     func(w http.ResponseWriter, r *http.Request) bool
}

func newPullRegistry(t testing.TB) *pullRegistry {
	t.Helper()
	r := &pullRegistry{contents: map[string][]byte{}, types: map[string]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *pullRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
	r.mu.Lock()
	body, mediaType, fail := r.contents[name], r.types[name], r.fail
	r.mu.Unlock()
	if fail != nil && fail(w, req) {
		return
	}
	if strings.Contains(req.URL.Path, "/referrers/") {
		body, mediaType = []byte(`{"manifests":[]}`), ocispec.MediaTypeImageIndex
	}
	if body == nil {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(body).String())
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
}

func (r *pullRegistry) manifest(d digest.Digest) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.contents[d.String()]
}

func (r *pullRegistry) failing(fail func(w http.ResponseWriter, r *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

func (r *pullRegistry) put(mediaType string, m any, tags ...string) ocispec.Descriptor {
	body, _ := json.Marshal(m)
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digest.FromBytes(body)
	for _, name := range append(tags, d.String()) {
		r.contents[name], r.types[name] = body, mediaType
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

// image stores an image; its id is that of the name.
func (r *pullRegistry) image(variant, name string, tags ...string) ocispec.Descriptor {
	desc := r.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.Digest(imageID(name)), Size: 2},
	}, tags...)
	desc.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: variant}
	return desc
}

func imageID(name string) string { return digest.FromString(name).String() }

// index makes the tag an index of images, one for each variant; an image's name
// is the tag and its variant.
func (r *pullRegistry) index(tag string, variants ...string) (entries []ocispec.Descriptor) {
	for _, v := range variants {
		entries = append(entries, r.image(v, tag+v))
	}
	r.put(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: entries}, tag)
	return entries
}

// decider is the real resolver; tests can step in before each decision and see what
// was remembered.
type decider struct {
	*decision.Resolver
	rules      atomic.Pointer[decision.Rules]
	mu         sync.Mutex
	before     func(ctx context.Context, n int) error
	asked      []decision.Request
	remembered map[string]string // image id -> label of the candidate
}

func (d *decider) Decide(ctx context.Context, req decision.Request) (*decision.Decision, error) {
	d.mu.Lock()
	d.asked = append(d.asked, req)
	n, before := len(d.asked), d.before
	d.mu.Unlock()
	if before != nil {
		if err := before(ctx, n); err != nil {
			return nil, err
		}
	}
	return d.Resolver.Decide(ctx, req)
}

func (d *decider) Remember(id string, decided *decision.Decision, i int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remembered[id] = decided.Label(i)
	return d.Resolver.Remember(id, decided, i)
}

func (d *decider) recalled(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.remembered[id]
}

func (d *decider) decisions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

// pullBench is a client, the proxy, a runtime and a registry.
type pullBench struct {
	registry *pullRegistry
	runtime  *fakeContainerd
	decider  *decider
	puller   *Puller
	conn     *grpc.ClientConn
	client   runtimeapi.ImageServiceClient

	mu      sync.Mutex
	records []decisionlog.Record
}

func (b *pullBench) record(r decisionlog.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
}

// last is the last record without its times.
func (b *pullBench) last() decisionlog.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.records) == 0 {
		return decisionlog.Record{}
	}
	r := b.records[len(b.records)-1]
	r.Time, r.Decided, r.Took = time.Time{}, 0, 0
	return r
}

// newPullBench starts one on a node of an x86-64 level, with an index of plain
// amd64 and v3 under the tag 1, of which the runtime takes the first.
func newPullBench(t testing.TB, level int, change func(*decision.Rules)) *pullBench {
	t.Helper()
	b := &pullBench{registry: newPullRegistry(t)}
	path := critest.Socket(t)
	b.runtime = startContainerd(t, path, b.registry)
	b.decider = newDecider(t, b.registry, level)
	if change != nil {
		change(b.decider.rules.Load())
	}
	_, proxyPath := startProxy(t, path, func(backend *cri.Backend) map[string]Handler {
		b.puller = NewPuller(PullerOptions{
			Runtime: backend, Images: images.New(backend, "k8s.io"), Decider: b.decider,
			Record: b.record, Log: slog.New(slog.DiscardHandler),
		})
		return map[string]Handler{PullImage: b.puller.Handle}
	})
	b.conn = critest.Dial(t, proxyPath)
	b.client = runtimeapi.NewImageServiceClient(b.conn)
	entries := b.registry.index("1", "", "v3")
	b.takes(entries[0].Digest)
	return b
}

func newDecider(t testing.TB, r *pullRegistry, level int) *decider {
	t.Helper()
	dir := t.TempDir()
	state, err := cache.Open(filepath.Join(dir, "state"), 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	hosts := filepath.Join(dir, "certs.d", "registry.example")
	if err := os.MkdirAll(hosts, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hosts, "hosts.toml"), fmt.Appendf(nil, "server = %q\n", r.URL), 0o644); err != nil {
		t.Fatal(err)
	}
	specs, err := spec.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(registry.Options{HostsPath: filepath.Join(dir, "certs.d")})
	t.Cleanup(reg.Close)
	known := facts.New("linux", "amd64", facts.Features{
		Attributes: map[string]map[string]string{"cpu.x86_64": {"level": strconv.Itoa(level)}},
	})
	d := &decider{remembered: map[string]string{}}
	d.rules.Store(&decision.Rules{
		Policy:      policy.Policy{Answers: config.Default().Policy.Answers},
		Interpreter: spec.NewInterpreter(specs), ReferrersTTL: time.Minute, Timeout: 5 * time.Second,
	})
	d.Resolver = decision.NewResolver(decision.NewEvaluator(decision.Options{
		Cache: state, Log: slog.New(slog.DiscardHandler), Rules: d.rules.Load,
		Facts: func() *facts.Facts { return known },
	}), reg)
	return d
}

// takes says what the runtime takes of whatever it pulls by a tag.
func (b *pullBench) takes(manifests ...digest.Digest) {
	n := 0
	b.runtime.mu.Lock()
	defer b.runtime.mu.Unlock()
	b.runtime.takes = func(string) digest.Digest { // called with the lock held
		n++
		return manifests[min(n, len(manifests))-1]
	}
}

// pullRequest is a request with everything in it, a field unknown to this
// cri-api included.
func pullRequest(namespace, source string) *runtimeapi.PullImageRequest {
	req := &runtimeapi.PullImageRequest{
		Image: &runtimeapi.ImageSpec{Image: appTag, UserSpecifiedImage: "app:1", Annotations: map[string]string{"a": "b"}, RuntimeHandler: "kata"},
		Auth:  &runtimeapi.AuthConfig{Username: "u", Password: "p", ServerAddress: "registry.example"},
		SandboxConfig: &runtimeapi.PodSandboxConfig{
			Metadata:    &runtimeapi.PodSandboxMetadata{Name: "pod", Namespace: namespace},
			Annotations: map[string]string{"kubernetes.io/config.source": source},
		},
	}
	req.ProtoReflect().SetUnknown(unknownField())
	req.Image.ProtoReflect().SetUnknown(unknownField())
	return req
}

func unknownField() []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 4711, protowire.BytesType), "of tomorrow")
}

// send sends raw bytes as a PullImage request and returns the image id.
func (b *pullBench) send(ctx context.Context, raw []byte) (string, error) {
	var answer cri.Frame
	err := b.conn.Invoke(ctx, PullImage, cri.NewFrame(raw), &answer, grpc.ForceCodecV2(cri.Codec()))
	if err != nil {
		return "", err
	}
	defer answer.Free()
	var resp runtimeapi.PullImageResponse
	if err := answer.Decode(&resp); err != nil {
		return "", err
	}
	return resp.GetImageRef(), nil
}

// pull sends a request of a pod in namespace default.
func (b *pullBench) pull(ctx context.Context) (string, error) {
	raw, err := proto.Marshal(pullRequest("default", "api"))
	if err != nil {
		return "", err
	}
	return b.send(ctx, raw)
}

// status is the id that CRI shows for a reference at this moment.
func (b *pullBench) status(t testing.TB, ref string) string {
	t.Helper()
	resp, err := b.client.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetImage().GetId()
}
