package otlp

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exporter keeps errors from the SDK, which would write each of them to stderr:
// it logs when the collector stops taking spans and when it takes them again.
type exporter struct {
	sdktrace.SpanExporter
	closing  context.Context // ends when no export may run any more
	endpoint string
	log      *slog.Logger
	failing  atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.closing, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	failing := err != nil
	switch {
	case e.failing.Swap(failing) == failing, e.closing.Err() != nil:
	case failing:
		e.log.Warn("the collector does not take spans, they are lost", "collector", e.endpoint, "error", err)
	default:
		e.log.Info("the collector takes spans again", "collector", e.endpoint)
	}
	return nil
}
