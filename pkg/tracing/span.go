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

// Scope names this program's spans among those of the libraries it uses.
const Scope = "github.com/imagefit/imagefit"

// What imagefit says of a pull, beside the attributes that OpenTelemetry names.
const (
	Reference  = attribute.Key("imagefit.reference")  // as it was asked for
	Candidates = attribute.Key("imagefit.candidates") // how many there were
	Choice     = attribute.Key("imagefit.choice")     // the platform that was chosen
	Action     = attribute.Key("imagefit.action")     // what was done with the pull
	Reason     = attribute.Key("imagefit.reason")     // why, in a sentence
	Manifest   = attribute.Key("imagefit.manifest")   // its digest
	Object     = attribute.Key("imagefit.object")     // what a registry was asked for
)

// maxText bounds the text of an error: much of it comes from elsewhere.
const maxText = 1 << 10

// Start begins a span within that of ctx.
func Start(ctx context.Context, name string) (context.Context, trace.Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// StartClient begins the span of a request to another program.
func StartClient(ctx context.Context, name string) (context.Context, trace.Span) {
	return start(ctx, name, trace.SpanKindClient)
}

// start also serves where the parent has ended, since a look-up may outlive the
// pull that began it. Not to make a span where none is recorded saves more than
// the time: ctx keeps the span that goes to the runtime as the parent.
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
		span.SetStatus(codes.Error, text(err.Error()))
	}
	span.End()
}

// text is what an error says, without what may be a credential.
func text(s string) string { return textutil.Cut(secret.Strip(s), maxText) }

// Link says in the span of ctx that another span did its work.
func Link(ctx context.Context, other trace.SpanContext) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() && other.IsValid() && !span.SpanContext().Equal(other) {
		span.AddLink(trace.Link{SpanContext: other})
	}
}

// Hide returns ctx without its span, for libraries that would make spans of their
// own: theirs may show what ours must not.
func Hide(ctx context.Context) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, noop.Span{})
}
