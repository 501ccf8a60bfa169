package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
)

// record returns a tracer and what sees its spans end.
func record(t testing.TB) (trace.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	seen := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(seen), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return provider.Tracer(Scope), seen
}

// TestWithoutAServerSpanNothingIsAllocated: AllocsPerRun counts for all goroutines,
// so this test is not parallel.
func TestWithoutAServerSpanNothingIsAllocated(t *testing.T) {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("traceparent", sampled))
	md, failure := metadata.MD{"x": {"y"}}, errors.New("no")
	allocations := testing.AllocsPerRun(100, func() {
		served, server := StartServer(ctx, nil, "/service/Method")
		inner, span := Start(served, "decide")
		inner, client := StartClient(inner, "resolve")
		called, call := StartCall(inner, "/service/Method")
		Link(called, trace.SpanContext{})
		Inject(called, md)
		if Hide(called) != ctx || server.IsRecording() {
			t.Error("there is a span")
		}
		EndCall(call, failure)
		End(client, failure)
		End(span, failure)
		EndCall(server, failure)
	})
	if allocations != 0 || len(md) != 1 {
		t.Errorf("%v allocations, metadata %v; want none and as it was", allocations, md)
	}
}

func TestSpansAreChildrenOfTheSpanInTheirContext(t *testing.T) {
	t.Parallel()
	tracer, seen := record(t)
	ctx, server := StartServer(t.Context(), tracer, "/runtime.v1.ImageService/PullImage")
	inner, decide := Start(ctx, "decide")
	End(decide, nil)
	_, late := StartClient(inner, "resolve") // of a lookup that outlives its pull
	End(late, nil)
	_, call := StartCall(ctx, "/runtime.v1.ImageService/PullImage")
	EndCall(call, nil)
	Link(ctx, server.SpanContext())
	Link(ctx, trace.SpanContext{})
	Link(ctx, late.SpanContext())
	EndCall(server, nil)

	var got []string
	for _, s := range seen.Ended() {
		got = append(got, fmt.Sprintf("%s %s within %s, %d links", s.SpanKind(), s.Name(), nameOf(seen, s.Parent()), len(s.Links())))
	}
	want := []string{
		"internal decide within runtime.v1.ImageService/PullImage, 0 links",
		"client resolve within decide, 0 links",
		"client runtime.v1.ImageService/PullImage within runtime.v1.ImageService/PullImage, 0 links",
		"server runtime.v1.ImageService/PullImage within nothing, 1 links",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if hidden := Hide(ctx); trace.SpanContextFromContext(hidden).IsValid() {
		t.Error("the span is still visible")
	}
}

func nameOf(seen *tracetest.SpanRecorder, sc trace.SpanContext) string {
	for _, s := range seen.Ended() {
		if s.SpanContext().SpanID() == sc.SpanID() {
			return s.Name()
		}
	}
	return "nothing"
}

func TestErrorTextsAreBoundedAndWithoutCredentials(t *testing.T) {
	t.Parallel()
	tracer, seen := record(t)
	ctx, server := StartServer(t.Context(), tracer, "/s/m")
	for _, text := range []string{
		"get https://user:hunter2@host/blob?X-Amz-Signature=hunter2: EOF",
		strings.Repeat("ä", 4096) + "\xff",
	} {
		_, span := Start(ctx, "decide")
		End(span, errors.New(text))
	}
	EndCall(server, errors.New("https://hunter2@host/"))
	for _, s := range seen.Ended() {
		text := s.Status().Description
		if s.Status().Code != codes.Error || text == "" || strings.Contains(text, "hunter2") || len(text) > maxText+3 || strings.ToValidUTF8(text, "") != text {
			t.Errorf("%s has %v %q", s.Name(), s.Status().Code, text)
		}
	}
}

func attr(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	for _, kv := range s.Attributes() {
		if kv.Key == key {
			return kv.Value.String()
		}
	}
	return ""
}
