package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/secret"
)

// Scope is the instrumentation scope of these spans.
const Scope = "github.com/imagefit/imagefit"

// Attributes of a pull, besides those that OpenTelemetry defines.
const (
	Reference  = attribute.Key("imagefit.reference")  // as requested
	Candidates = attribute.Key("imagefit.candidates") // their number
	Choice     = attribute.Key("imagefit.choice")     // the platform that was chosen
	Action     = attribute.Key("imagefit.action")     // what was done
	Reason     = attribute.Key("imagefit.reason")     // why, in a sentence
	Manifest   = attribute.Key("imagefit.manifest")   // its digest
	Object     = attribute.Key("imagefit.object")     // requested from a registry
)

// maxText bounds the text of an error, parts of which come from registries.
const maxText = 1 << 10

// Start starts a child of the span of ctx.
func Start(ctx context.Context, name string) (context.Context, trace.Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// StartClient starts the span of a request to another program.
func StartClient(ctx context.Context, name string) (context.Context, trace.Span) {
	return start(ctx, name, trace.SpanKindClient)
}

// start also works after the parent has ended, because a lookup may outlive its
// pull. If the parent is not sampled, ctx keeps it, so that it remains the parent
// that the runtime sees.
func start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, noop.Span{}
	}
	return parent.TracerProvider().Tracer(Scope).Start(ctx, name, trace.WithSpanKind(kind))
}

// End ends a span, with the error if there is one.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(semconv.ErrorType(err))
		span.SetStatus(codes.Error, errorText(err.Error()))
	}
	span.End()
}

// errorText is the bounded text of an error, without credentials.
func errorText(s string) string { return textutil.Cut(secret.Strip(s), maxText) }

// Link links the span of ctx to another span that did its work.
func Link(ctx context.Context, other trace.SpanContext) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() && other.IsValid() && !span.SpanContext().Equal(other) {
		span.AddLink(trace.Link{SpanContext: other})
	}
}

// Hide returns ctx without its span, for libraries that make spans of their own,
// which may contain credentials.
func Hide(ctx context.Context) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, noop.Span{})
}
