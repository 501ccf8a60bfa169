package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// StartServer starts the span of a gRPC call that is being served, as a child of
// the span in its metadata, if any. With a nil tracer it starts none.
func StartServer(ctx context.Context, tracer trace.Tracer, method string) (context.Context, trace.Span) {
	if tracer == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	ctx = propagation.TraceContext{}.Extract(ctx, carrier(md))
	return tracer.Start(ctx, rpcName(method), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(rpcName(method))))
}

// StartCall starts the span of a gRPC call to another program.
func StartCall(ctx context.Context, method string) (context.Context, trace.Span) {
	ctx, span := StartClient(ctx, rpcName(method))
	if span.IsRecording() {
		span.SetAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(rpcName(method)))
	}
	return ctx, span
}

// EndCall ends the span of StartServer or StartCall.
func EndCall(span trace.Span, err error) {
	if span.IsRecording() {
		code := code.Code(status.Code(err)).String() //nolint:gosec // a code is small; such as NOT_FOUND
		span.SetAttributes(semconv.RPCResponseStatusCode(code))
		if err != nil {
			span.SetAttributes(semconv.ErrorTypeKey.String(code))
			span.SetStatus(codes.Error, errorText(status.Convert(err).Message()))
		}
	}
	span.End()
}

// rpcName is a method as OpenTelemetry spells it.
func rpcName(method string) string { return strings.TrimPrefix(method, "/") }

// Inject makes the span of ctx the parent of the call with this metadata. Without
// a span, the metadata stays as it is.
func Inject(ctx context.Context, md metadata.MD) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	delete(md, "tracestate") // belongs to the replaced traceparent
	propagation.TraceContext{}.Inject(ctx, carrier(md))
}

// Copy adds the trace context of the call that ctx serves, baggage included, to
// metadata that has none.
func Copy(ctx context.Context, md metadata.MD) {
	if len(md["traceparent"]) > 0 {
		return
	}
	for _, key := range []string{"traceparent", "tracestate", "baggage"} {
		if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
			md[key] = values
		}
	}
}

// carrier is metadata as OpenTelemetry reads and writes it. It joins the values of
// a repeated key, which makes a repeated traceparent invalid.
type carrier metadata.MD

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string { return strings.Join(c[key], ",") }

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { c[key] = []string{value} }

// Keys implements propagation.TextMapCarrier. It is not used.
func (c carrier) Keys() []string { return nil }
