package otlp

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	traceapi "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/imagefit/imagefit/pkg/tracing"
)

// pull makes the spans of a pull, within that of the caller if there is one.
func pull(t *testing.T, s *Spans, md metadata.MD) {
	t.Helper()
	ctx, server := tracing.StartServer(metadata.NewIncomingContext(t.Context(), md), s.Tracer(), "/service/Pull")
	_, decide := tracing.Start(ctx, "decide")
	decide.SetAttributes(tracing.Reason.String(strings.Repeat("x", 2*maxValue)))
	tracing.End(decide, nil)
	tracing.EndCall(server, nil)
}

const traceID, spanID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

func TestSpansOfAPullReachTheCollector(t *testing.T) {
	t.Parallel()
	c := new(collector)
	address, _ := c.serve(t, "")
	s, log := open(t, "http://"+address, nil)
	pull(t, s, metadata.Pairs("traceparent", "00-"+traceID+"-"+spanID+"-01"))
	s.Close()
	spans := c.spans()
	server, decide := spans["service/Pull"], spans["decide"]
	if len(spans) != 2 || server == nil || decide == nil {
		t.Fatalf("the collector has %v; log: %s", spans, log)
	}
	if hex.EncodeToString(server.TraceId) != traceID || hex.EncodeToString(server.ParentSpanId) != spanID || server.Kind != traceapi.Span_SPAN_KIND_SERVER {
		t.Errorf("the server's span is %v", server)
	}
	if hex.EncodeToString(decide.TraceId) != traceID || !bytes.Equal(decide.ParentSpanId, server.SpanId) {
		t.Errorf("the span within it is %v", decide)
	}
	if n := len(decide.Attributes[0].Value.GetStringValue()); n != maxValue {
		t.Errorf("an attribute of %d bytes was sent, want %d at most", n, maxValue)
	}
	attributes := map[string]string{}
	for _, kv := range c.resources[0].Resource.Attributes {
		attributes[kv.Key] = kv.Value.GetStringValue()
	}
	if attributes["service.name"] != "cri-proxy" || attributes["service.version"] != "v1.2.3" || attributes["host.name"] == "" {
		t.Errorf("the resource of the spans has: %v", attributes)
	}
}

func TestCallersDecisionToSampleOverridesTheRatio(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		ratio  float64
		parent string
		want   int
	}{
		{"all", 1, "", 2},
		{"none", 0, "", 0},
		{"none, but the caller does", 0, "00-" + traceID + "-" + spanID + "-01", 2},
		{"all, but the caller does not", 1, "00-" + traceID + "-" + spanID + "-00", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := new(collector)
			address, _ := c.serve(t, "")
			s, _ := open(t, "http://"+address, func(o *Options) { o.SampleRatio = tt.ratio })
			md := metadata.MD{}
			if tt.parent != "" {
				md.Set("traceparent", tt.parent)
			}
			pull(t, s, md)
			s.Close()
			if got := len(c.spans()); got != tt.want {
				t.Errorf("%d spans, want %d", got, tt.want)
			}
		})
	}
}

func TestWithoutAnEndpointThereIsNoTracer(t *testing.T) {
	t.Parallel()
	s, _ := open(t, "", nil)
	if s.Tracer() != nil {
		t.Error("there is a tracer")
	}
	pull(t, s, nil)
	s.Close()
}

func TestNoConnectionIsMadeWithoutASpan(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_ = conn.Close()
		}
		accepted <- err
	}()
	s, _ := open(t, "http://"+listener.Addr().String(), nil)
	s.Close()
	_ = listener.Close()
	if err := <-accepted; err == nil {
		t.Error("a connection was made without a span")
	}
}

// TestFailureAndRecoveryAreLoggedOnce makes more spans than the queue takes while
// the collector is down, up, and down again.
func TestFailureAndRecoveryAreLoggedOnce(t *testing.T) {
	t.Parallel()
	c := new(collector)
	address, stop := c.serve(t, "")
	stop()
	s, log := open(t, "http://"+address, func(o *Options) { o.exportTime = time.Second })
	flush := func() {
		for _, n := range []int{maxQueue, 1} { // the one goes by ForceFlush itself
			for range n {
				pull(t, s, nil)
			}
			if err := s.provider.ForceFlush(t.Context()); err != nil {
				t.Errorf("the SDK gets an error, which it would print: %v", err)
			}
		}
	}
	const lost, found = "cannot export spans", "exporting spans again"
	flush()
	flush()
	if log.Count(lost) != 1 || log.Count(found) != 0 || log.Count("\n") != 1 {
		t.Errorf("the log is\n%s", log)
	}
	_, stop = c.serve(t, address)
	for log.Count(found) == 0 && t.Context().Err() == nil {
		flush()
	}
	flush()
	stop()
	flush()
	flush()
	if log.Count(lost) != 2 || log.Count(found) != 1 || log.Count("\n") != 3 {
		t.Errorf("the log is\n%s", log)
	}
}

// TestCloseIsBounded: by a collector that never answers, or that is down.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	silent := &collector{answer: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	address, _ := silent.serve(t, "")
	for name, where := range map[string]string{"silent": address, "down": closed(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, log := open(t, "http://"+where, func(o *Options) { o.exportTime = time.Hour })
			for range maxBatch {
				pull(t, s, nil)
			}
			done := make(chan struct{})
			go func() {
				s.Close()
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(time.Minute): // a fifteenth of it is the bound
				t.Fatal("Close does not return")
			}
			if log.Count("cannot export the last spans") != 1 {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
}

func TestEnvironmentSetsTLSHeadersAndResource(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", ca)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // the configuration wins
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=one,service.version=mine")
	c := new(collector)
	address, _ := c.serve(t, "", grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	s, log := open(t, "https://"+address, nil)
	pull(t, s, nil)
	s.Close()
	if len(c.spans()) != 2 {
		t.Fatalf("the collector has %v; log: %s", c.spans(), log)
	}
	attributes := map[string]string{}
	for _, kv := range c.resources[0].Resource.Attributes {
		attributes[kv.Key] = kv.Value.GetStringValue()
	}
	if attributes["k8s.cluster.name"] != "one" || attributes["service.version"] != "mine" || c.headers[0]["x-tenant"][0] != "blue" {
		t.Errorf("the resource has %v, with %v", attributes, c.headers[0])
	}
}
