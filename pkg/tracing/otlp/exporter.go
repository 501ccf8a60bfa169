package otlp

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// exporter hides errors from the SDK, which would write each of them to stderr. It
// logs the first failure and the first success after it.
type exporter struct {
	sdktrace.SpanExporter
	closing  context.Context // ends when exports must stop
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
		e.log.Warn("cannot export spans, dropping them", "collector", e.endpoint, "error", err)
	default:
		e.log.Info("exporting spans again", "collector", e.endpoint)
	}
	return nil
}
