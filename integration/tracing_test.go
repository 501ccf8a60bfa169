package integration

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorapi "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traceapi "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/imagefit/imagefit/integration/stack"
)

const (
	kubeletTrace = "0af7651916cd43dd8448eb211c80319c"
	kubeletSpan  = "b7ad6b7169203331"
	pullMethod   = "runtime.v1.ImageService/PullImage"
)

// collector is an OpenTelemetry collector that keeps the spans of each service.
type collector struct {
	collectorapi.UnimplementedTraceServiceServer
	endpoint string

	mu    sync.Mutex
	spans map[string][]*traceapi.Span
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{endpoint: "http://" + listener.Addr().String(), spans: map[string][]*traceapi.Span{}}
	server := grpc.NewServer()
	collectorapi.RegisterTraceServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Export keeps what comes.
func (c *collector) Export(_ context.Context, r *collectorapi.ExportTraceServiceRequest) (*collectorapi.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		service := ""
		for _, kv := range resource.Resource.Attributes {
			if kv.Key == "service.name" {
				service = kv.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			c.spans[service] = append(c.spans[service], scope.Spans...)
		}
	}
	return &collectorapi.ExportTraceServiceResponse{}, nil
}

// of returns the spans of a service that belong to the kubelet's trace.
func (c *collector) of(service string) []*traceapi.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ours []*traceapi.Span
	for _, s := range c.spans[service] {
		if hex.EncodeToString(s.TraceId) == kubeletTrace {
			ours = append(ours, s)
		}
	}
	return ours
}

func id(b []byte) string { return hex.EncodeToString(b) }

// tracedPull pulls, as part of a trace, an image whose choice is not the
// runtime's, and returns all calls that the runtime got for it.
func tracedPull(t *testing.T, tracing string) (*fit, []call) {
	t.Helper()
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	recorder := startRecorder(t, containerd, "recorder", containerd.Socket)
	f := startFitWith(t, containerd, registry, flagsV3, stack.Settings{Runtime: recorder.socket, Policy: "[tracing]\n" + tracing})
	repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	needs(t, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
	f.registry.RequireToken(map[string]stack.User{"alice": {Password: "secret-of-alice"}})
	recorder.take()
	ctx := metadata.AppendToOutgoingContext(t.Context(),
		"traceparent", "00-"+kubeletTrace+"-"+kubeletSpan+"-01", "tracestate", "vendor=1", "baggage", "k=v")
	pulled, err := f.cri.Pull(ctx, repo.Ref("1"), auth("alice", "secret-of-alice"))
	if err != nil {
		t.Fatal(err)
	}
	calls := recorder.take()
	wantID(t, f.cri, pulled, repo.Ref("1"))
	return f, calls
}

// wantParents checks the trace context of the calls, by the parent of each.
func wantParents(t *testing.T, calls []call, parent func(method string) string) {
	t.Helper()
	methods := map[string]bool{}
	for _, c := range calls {
		if len(c.md["traceparent"]) == 0 && slices.Contains([]string{"Version", "Status", "Plugins"}, c.method) {
			continue // the proxy's own, to learn what the runtime is, at its start and for no pull
		}
		methods[c.method] = true
		for key, want := range map[string]string{
			"traceparent": "00-" + kubeletTrace + "-" + parent(c.method) + "-01", "tracestate": "vendor=1", "baggage": "k=v",
		} {
			if got := c.md[key]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s came with %s %q, want %q", c.method, key, got, want)
			}
		}
	}
	for _, method := range []string{"PullImage", "Create", "ImageStatus"} {
		if !methods[method] {
			t.Errorf("the runtime got no %s, only %v", method, slices.Sorted(maps.Keys(methods)))
		}
	}
}

// TestTraceReachesTheRuntime sends no spans: then the runtime's are children of
// the kubelet's.
func TestTraceReachesTheRuntime(t *testing.T) {
	_, calls := tracedPull(t, `endpoint = ""`)
	wantParents(t, calls, func(string) string { return kubeletSpan })
}

// TestSpansReachTheCollector has containerd and the proxy send their spans: all
// are of one trace, containerd's within the proxy's and these within the kubelet's.
func TestSpansReachTheCollector(t *testing.T) {
	c := startCollector(t)
	for key, value := range map[string]string{ // containerd's way to be told; the proxy goes by its configuration
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": c.endpoint, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_BSP_SCHEDULE_DELAY": "100",
	} {
		t.Setenv(key, value)
	}
	f, calls := tracedPull(t, fmt.Sprintf("endpoint = %q", c.endpoint))
	if err := f.Proxy.Stop(drainTime); err != nil { // which sends what is left
		t.Fatal(err)
	}
	named := map[string]*traceapi.Span{}
	for _, s := range c.of("cri-proxy") {
		name := s.Name
		if s.Kind == traceapi.Span_SPAN_KIND_CLIENT && name == pullMethod {
			name = "pull"
		}
		named[name] = s
		if text := s.String(); strings.Contains(text, "alice") {
			t.Errorf("a span tells who pulled: %s", text)
		}
	}
	for name, parent := range map[string]string{
		"decide": pullMethod, "pull": pullMethod, "check platform": pullMethod, "record": pullMethod,
		"resolve": "decide", "list referrers": "decide", "fetch manifest": "decide", "fetch blob": "decide",
	} {
		if s, p := named[name], named[parent]; s == nil || p == nil || id(s.ParentSpanId) != id(p.SpanId) {
			t.Errorf("%q is not within %q: %v", name, parent, s)
		}
	}
	if s := named[pullMethod]; s == nil || id(s.ParentSpanId) != kubeletSpan {
		t.Fatalf("no span of the pull within the kubelet's: %v", s)
	}
	wantParents(t, calls, func(method string) string {
		switch method {
		case "PullImage":
			return id(named["pull"].GetSpanId())
		case "Read":
			return id(named["check platform"].GetSpanId())
		}
		return id(named["record"].GetSpanId())
	})
	deadline := time.Now().Add(20 * time.Second)
	for !slices.ContainsFunc(c.of("containerd"), func(s *traceapi.Span) bool {
		return s.Name == pullMethod && id(s.ParentSpanId) == id(named["pull"].GetSpanId())
	}) {
		if time.Now().After(deadline) {
			t.Fatalf("containerd's span of the pull is not within the proxy's: %v", c.of("containerd"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}
