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
	// batchTime is how long spans wait for others to go with them.
	batchTime = 5 * time.Second
	// exportTime is how long one batch is tried, over a restart of the collector.
	exportTime = 30 * time.Second
	// closeTime is how long Close waits for what is left to be sent.
	closeTime = 2 * time.Second
	// maxValue bounds the value of an attribute: some come from elsewhere.
	maxValue = 4 << 10
)

// Options say where spans go.
type Options struct {
	Endpoint    string  // http://host:port or https://host:port; "" for nowhere
	SampleRatio float64 // of the traces whose caller does not say
	Program     string
	Version     string
	Log         *slog.Logger

	exportTime time.Duration // exportTime, but in tests
}

// Spans sends spans to a collector.
type Spans struct {
	provider *sdktrace.TracerProvider // nil where spans go nowhere
	cut      context.CancelFunc       // ends the export that runs
	endpoint string
	log      *slog.Logger
}

// Open prepares a connection to the collector, which need not be there yet.
// Beside the options, the environment variables of OpenTelemetry count: for what
// is sent along (OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS) and for TLS
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
			// gRPC's own pace grows to two minutes, all of whose spans would be lost.
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
		return nil, fmt.Errorf("prepare to send spans to %s: %w", o.Endpoint, err)
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

// resource is what all spans say of their origin.
func (o Options) resource(ctx context.Context) *resource.Resource {
	r, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName(o.Program), semconv.ServiceVersion(o.Version)),
		resource.WithFromEnv(), // last, so that it wins
	)
	if err != nil {
		o.Log.Warn("spans say less of their origin than they might", "error", err)
	}
	return r
}

// Tracer returns what makes the spans, nil where they would go nowhere.
func (s *Spans) Tracer() trace.Tracer {
	if s.provider == nil {
		return nil
	}
	return s.provider.Tracer(tracing.Scope)
}

// Close sends what is left, for at most two seconds, and logs if that was not
// enough. No span is sent afterwards.
func (s *Spans) Close() {
	if s.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.provider.Shutdown(ctx)
	s.cut()
	if err != nil {
		s.log.Warn("the collector did not take the last spans, they are lost", "collector", s.endpoint, "error", err)
	}
}
