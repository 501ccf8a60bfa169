package criproxy

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/policy"
)

const (
	appTag  = "registry.example/app:1"
	appRepo = "registry.example/app"
)

// pullRegistry is the kit's registry with images whose names end in their variant,
// such as "1v3".
type pullRegistry struct{ *fakeregistry.Registry }

func newPullRegistry(t testing.TB) *pullRegistry {
	t.Helper()
	return &pullRegistry{fakeregistry.New(t, fakeregistry.Options{})}
}

func (r *pullRegistry) image(name string, tags ...string) ocispec.Descriptor {
	return r.Image(platformOf(name), name, tags...)
}

func imageID(name string) string { return fakeregistry.ImageID(platformOf(name), name) }

func platformOf(name string) string {
	return "linux/amd64/" + regexp.MustCompile(`(v[0-9])?$`).FindString(name)
}

// index makes the tag an index of images, one for each variant.
func (r *pullRegistry) index(tag string, variants ...string) (entries []ocispec.Descriptor) {
	for _, v := range variants {
		entries = append(entries, r.image(tag+v))
	}
	r.Index(tag, entries...)
	return entries
}

// decider is the real resolver; tests can step in before each decision and see what
// was remembered.
type decider struct {
	*decision.Resolver
	bench      *decisiontest.Bench
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
	names    *Names
	byProxy  atomic.Bool // whether the proxy keeps tags
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
	path, registry := critest.Socket(t), newPullRegistry(t)
	runtime := startContainerd(t, path, registry)
	b := newPullBenchOn(t, path, registry, level, change)
	b.runtime = runtime
	b.takes(b.registry.index("1", "", "v3")[0].Digest)
	return b
}

// newPullBenchOn starts one in front of the runtime at the socket.
func newPullBenchOn(t testing.TB, path string, registry *pullRegistry, level int, change func(*decision.Rules)) *pullBench {
	t.Helper()
	b := &pullBench{registry: registry}
	b.decider = newDecider(t, b.registry, level)
	if change != nil {
		change(b.decider.bench.Rules.Load())
	}
	_, proxyPath := startProxy(t, path, func(backend *cri.Backend) map[string]Handler {
		b.names = namesOn(backend, &b.byProxy)
		b.puller = NewPuller(PullerOptions{
			Runtime: backend, Images: images.New(backend, "k8s.io"), Names: b.names, Decider: b.decider,
			Record: b.record, Log: slog.New(slog.DiscardHandler),
		})
		handlers := b.names.Handlers()
		handlers[PullImage] = b.puller.Handle
		return handlers
	})
	b.conn = critest.Dial(t, proxyPath)
	b.client = runtimeapi.NewImageServiceClient(b.conn)
	return b
}

// namesOn returns the names of images of a runtime, whose tags it keeps itself unless
// byProxy says otherwise.
func namesOn(backend *cri.Backend, byProxy *atomic.Bool) *Names {
	store := images.New(backend, "k8s.io")
	return NewNames(NamesOptions{
		Runtime: backend, Records: store, Keeper: names.NewKeeper(images.Names{Store: store}),
		ByProxy: func() (bool, string) { return byProxy != nil && byProxy.Load(), "test" },
		Untags:  func() bool { return false }, Log: slog.New(slog.DiscardHandler),
	})
}

func newDecider(t testing.TB, r *pullRegistry, level int) *decider {
	t.Helper()
	bench := decisiontest.New(t, testkit.Node(level))
	bench.Change(func(r *decision.Rules) { r.Policy = policy.Policy{Answers: r.Policy.Answers} }) // nobody is exempt
	return &decider{
		Resolver: bench.Resolver(t, r.Registry, "registry.example"), bench: bench, remembered: map[string]string{},
	}
}

// takes says what the runtime takes of whatever it pulls by a tag.
func (b *pullBench) takes(manifests ...digest.Digest) {
	n := 0
	b.runtime.Takes = func(string) digest.Digest { // one call at a time
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
