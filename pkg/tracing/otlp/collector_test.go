package otlp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	collectorapi "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traceapi "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/imagefit/imagefit/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector keeps the spans that it receives, or returns the error of answer.
type collector struct {
	collectorapi.UnimplementedTraceServiceServer
	answer func(context.Context) error

	mu        sync.Mutex
	resources []*traceapi.ResourceSpans
	headers   []metadata.MD
}

func (c *collector) Export(ctx context.Context, r *collectorapi.ExportTraceServiceRequest) (*collectorapi.ExportTraceServiceResponse, error) {
	if c.answer != nil {
		if err := c.answer(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	c.resources, c.headers = append(c.resources, r.ResourceSpans...), append(c.headers, md)
	return &collectorapi.ExportTraceServiceResponse{}, nil
}

// spans returns the received spans by name.
func (c *collector) spans() map[string]*traceapi.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]*traceapi.Span{}
	for _, r := range c.resources {
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				all[s.Name] = s
			}
		}
	}
	return all
}

// serve starts the collector on an address, empty for any, and returns where.
func (c *collector) serve(t *testing.T, address string, opts ...grpc.ServerOption) (where string, stop func()) {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	collectorapi.RegisterTraceServiceServer(server, c)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	stop = sync.OnceFunc(func() {
		server.Stop()
		<-served
	})
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// closed is an address that is not in use.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func open(t *testing.T, endpoint string, change func(*Options)) (*Spans, *testkit.Log) {
	t.Helper()
	log := new(testkit.Log)
	o := Options{
		Endpoint: endpoint, SampleRatio: 1, Program: "cri-proxy", Version: "v1.2.3",
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, log
}
