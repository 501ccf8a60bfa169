package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/imagefit/imagefit/pkg/tracing"
)

const (
	// A pull makes some ten spans, a few KiB together.
	maxQueue = 2048
	maxBatch = 512
	// batchTime is how long a batch waits to fill.
	batchTime = 5 * time.Second
	// exportTime bounds the retries of a batch, and covers a restart of the collector.
	exportTime = 30 * time.Second
	// closeTime bounds the export of the remaining spans.
	closeTime = 2 * time.Second
	// maxValue bounds the value of an attribute.
	maxValue = 4 << 10
)

// Options say where spans are exported to.
type Options struct {
	Endpoint    string  // http://host:port or https://host:port; "" disables the export
	SampleRatio float64 // of traces that start here
	Program     string
	Version     string
	Log         *slog.Logger

	exportTime time.Duration // exportTime, shorter in tests
}

// Spans exports spans to a collector.
type Spans struct {
	provider *sdktrace.TracerProvider // nil if disabled
	cut      context.CancelFunc       // ends the running export
	endpoint string
	log      *slog.Logger
}

// Open prepares a connection to the collector, which need not be available yet.
// Besides the options, it honours OpenTelemetry's environment variables for the
// resource (OTEL_RESOURCE_ATTRIBUTES), headers (OTEL_EXPORTER_OTLP_HEADERS) and TLS
// (OTEL_EXPORTER_OTLP_CERTIFICATE).
func Open(o Options) (*Spans, error) {
	if o.Endpoint == "" {
		return &Spans{}, nil
	}
	if o.exportTime == 0 {
		o.exportTime = exportTime
	}
	ctx, cut := context.WithCancel(context.Background())
	sender, err := otlptracegrpc.New(ctx,
		otlptracegrpc.WithEndpointURL(o.Endpoint),
		otlptracegrpc.WithDialOption(
			grpc.WithUserAgent(o.Program+"/"+o.Version),
			// gRPC's default backoff grows to two minutes, whose spans would be lost.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 15 * time.Second},
				MinConnectTimeout: 5 * time.Second,
			}),
		),
		otlptracegrpc.WithTimeout(o.exportTime),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: o.exportTime,
		}),
	)
	if err != nil {
		cut()
		return nil, fmt.Errorf("connect to the collector %s: %w", o.Endpoint, err)
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxValue
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.SampleRatio))),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithResource(o.resource(ctx)),
		sdktrace.WithBatcher(&exporter{SpanExporter: sender, closing: ctx, endpoint: o.Endpoint, log: o.Log},
			sdktrace.WithMaxQueueSize(maxQueue), sdktrace.WithMaxExportBatchSize(maxBatch),
			sdktrace.WithBatchTimeout(batchTime), sdktrace.WithExportTimeout(o.exportTime)),
	)
	return &Spans{provider: provider, cut: cut, endpoint: o.Endpoint, log: o.Log}, nil
}

// resource describes the origin of all spans.
func (o Options) resource(ctx context.Context) *resource.Resource {
	r, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName(o.Program), semconv.ServiceVersion(o.Version)),
		resource.WithFromEnv(), // last, so that it wins
	)
	if err != nil {
		o.Log.Warn("cannot determine all resource attributes of spans", "error", err)
	}
	return r
}

// Tracer returns the tracer, or nil if the export is disabled.
func (s *Spans) Tracer() trace.Tracer {
	if s.provider == nil {
		return nil
	}
	return s.provider.Tracer(tracing.Scope)
}

// Close exports the remaining spans, for at most two seconds, and logs an error if
// that fails. No span is exported afterwards.
func (s *Spans) Close() {
	if s.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.provider.Shutdown(ctx)
	s.cut()
	if err != nil {
		s.log.Warn("cannot export the last spans, dropping them", "collector", s.endpoint, "error", err)
	}
}
