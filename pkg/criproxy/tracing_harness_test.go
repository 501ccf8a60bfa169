package criproxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/tracing"
)

const (
	callerTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
	callerState = "vendor=1,other=2"
	pullName    = "runtime.v1.ImageService/PullImage"
)

// received is the metadata of one call that reached the runtime.
type received struct {
	method string
	md     metadata.MD
}

// tracedBench is a client, the proxy, a runtime and a registry, and what sees
// all calls between proxy and runtime.
type tracedBench struct {
	registry *pullRegistry
	decider  *decider
	puller   *Puller
	conn     *grpc.ClientConn
	client   runtimeapi.ImageServiceClient

	mu    sync.Mutex
	calls []received
}

func newTracedBench(t *testing.T, level int, tracer trace.Tracer) *tracedBench {
	t.Helper()
	b := &tracedBench{registry: newPullRegistry(t)}
	path := critest.Socket(t)
	runtime := startContainerd(t, path, b.registry)
	entries := b.registry.index("1", "", "v3")
	runtime.Takes = func(string) digest.Digest { return entries[0].Digest }

	backend, err := cri.NewBackend("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	between := filepath.Join(filepath.Dir(path), "between.sock")
	critest.Serve(t, between, grpc.NewServer(grpc.ForceServerCodecV2(cri.Codec()),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(stream)
			md, _ := metadata.FromIncomingContext(stream.Context())
			b.mu.Lock()
			b.calls = append(b.calls, received{method[strings.LastIndexByte(method, '/')+1:], md})
			b.mu.Unlock()
			return backend.Forward(stream, method)
		})))
	b.decider = newDecider(t, b.registry, level)
	_, proxyPath := startProxy(t, between, func(backend *cri.Backend) map[string]Handler {
		b.puller = NewPuller(PullerOptions{
			Runtime: backend, Images: images.New(backend, "k8s.io"), Names: namesOn(backend, nil), Decider: b.decider, Tracer: tracer,
			Record: func(decisionlog.Record) {}, Log: slog.New(slog.DiscardHandler),
		})
		return map[string]Handler{PullImage: b.puller.Handle}
	})
	b.conn = critest.Dial(t, proxyPath)
	b.client = runtimeapi.NewImageServiceClient(b.conn)
	return b
}

// take returns what was received since the last time.
func (b *tracedBench) take() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

// spans returns a tracer and what sees its spans.
func spans(t *testing.T) (trace.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	seen := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(seen))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return provider.Tracer(tracing.Scope), seen
}

func fromCaller(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		"traceparent", "00-"+callerTrace+"-"+callerSpan+"-01", "tracestate", callerState, "baggage", "k=v", "x-other", "z")
}

func pullOf(ref string) *runtimeapi.PullImageRequest {
	return &runtimeapi.PullImageRequest{
		Image: &runtimeapi.ImageSpec{Image: ref}, Auth: &runtimeapi.AuthConfig{Username: "name-of-alice", Password: "hunter2"},
	}
}

// wantTrace checks what the runtime got of the caller's trace, and from which
// parent, by the calls of a pull on a node of that level.
func (b *tracedBench) wantTrace(t *testing.T, level int, parent func(received) string) {
	t.Helper()
	calls := b.take()
	var methods []string
	for _, c := range calls {
		if len(methods) == 0 || methods[len(methods)-1] != c.method {
			methods = append(methods, c.method)
		}
		want := map[string][]string{
			"traceparent": {"00-" + callerTrace + "-" + parent(c) + "-01"}, "tracestate": {callerState}, "baggage": {"k=v"},
		}
		for key, values := range want {
			if !slices.Equal(c.md[key], values) {
				t.Errorf("%s got %s %q, want %q", c.method, key, c.md[key], values)
			}
		}
		if passed := len(c.md["x-other"]) > 0; passed != (c.method == "PullImage") {
			t.Errorf("%s got metadata that is no trace context: %v", c.method, c.md)
		}
	}
	want := map[int][]string{
		1: {"Info", "Create", "Write", "PullImage", "Read", "List", "Delete"},
		3: {"PullImage", "Read", "List", "ImageStatus", "Update", "Get", "Create", "ImageStatus"},
	}[level]
	if !slices.Equal(methods[:min(len(methods), len(want))], want) {
		t.Errorf("the runtime got %v, want %v first", methods, want)
	}
}

// wantToken makes a registry ask for a token, for which containerd's client
// makes spans with whole URLs wherever it finds one to be their parent.
func (r *pullRegistry) wantToken(w http.ResponseWriter, req *http.Request) bool {
	switch {
	case req.URL.Path == "/token" && req.Method == http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed) // then the name goes into the URL
	case req.URL.Path == "/token":
		_, _ = fmt.Fprint(w, `{"token":"token-of-alice"}`)
	case req.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registry"`, r.URL))
		w.WriteHeader(http.StatusUnauthorized)
	default:
		return false
	}
	return true
}

// await waits for n spans: the server's ends only after the client has its answer.
func await(t *testing.T, seen *tracetest.SpanRecorder, n int) []sdktrace.ReadOnlySpan {
	t.Helper()
	for range 500 {
		if len(seen.Ended()) >= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return seen.Ended()
}

// describeAll says of each span its kind, name and parent, in order.
func describeAll(ended []sdktrace.ReadOnlySpan) []string {
	names := map[trace.SpanID]string{}
	for _, s := range ended {
		names[s.SpanContext().SpanID()] = s.Name()
	}
	var all []string
	for _, s := range ended {
		parent := names[s.Parent().SpanID()]
		if parent == "" {
			parent = s.Parent().SpanID().String()
		}
		all = append(all, fmt.Sprintf("%s %s in %s", s.SpanKind(), s.Name(), parent))
	}
	slices.Sort(all)
	return all
}

func spanOf(ended []sdktrace.ReadOnlySpan, kind trace.SpanKind, name string) string {
	for _, s := range ended {
		if s.SpanKind() == kind && s.Name() == name {
			return s.SpanContext().SpanID().String()
		}
	}
	return "none"
}
