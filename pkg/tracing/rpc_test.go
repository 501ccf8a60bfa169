package tracing

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	traceID   = "0af7651916cd43dd8448eb211c80319c"
	spanID    = "b7ad6b7169203331"
	sampled   = "00-" + traceID + "-" + spanID + "-01"
	unsampled = "00-" + traceID + "-" + spanID + "-00"
)

func TestServerSpanContinuesTheTraceOfTheCaller(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		metadata  metadata.MD
		recorded  bool
		continued bool
		state     string
	}{
		{"no metadata", nil, true, false, ""},
		{"no trace", metadata.Pairs("x", "y"), true, false, ""},
		{"sampled", metadata.Pairs("traceparent", sampled, "tracestate", "a=1,b=2"), true, true, "a=1,b=2"},
		{"state in two parts", metadata.Pairs("traceparent", sampled, "tracestate", "a=1", "tracestate", "b=2"), true, true, "a=1,b=2"},
		{"not sampled", metadata.Pairs("traceparent", unsampled), false, true, ""},
		{"two parents", metadata.Pairs("traceparent", sampled, "traceparent", sampled), true, false, ""},
		{"malformed", metadata.Pairs("traceparent", strings.ToUpper(sampled)), true, false, ""},
		{"all zero", metadata.Pairs("traceparent", "00-"+strings.Repeat("0", 32)+"-"+spanID+"-01"), true, false, ""},
		{"malformed state", metadata.Pairs("traceparent", sampled, "tracestate", "a=1,a=\x00"), true, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tracer, _ := record(t)
			sent := maps.Clone(tt.metadata)
			ctx, span := StartServer(metadata.NewIncomingContext(t.Context(), tt.metadata), tracer, "/s/m")
			defer EndCall(span, nil)
			sc := trace.SpanContextFromContext(ctx)
			if span.IsRecording() != tt.recorded || (sc.TraceID().String() == traceID) != tt.continued || sc.TraceState().String() != tt.state {
				t.Errorf("recording %t, %+v", span.IsRecording(), sc)
			}
			md := metadata.MD{"tracestate": {"of=another"}, "x": {"y"}}
			Inject(ctx, md)
			flags := "-00"
			if tt.recorded {
				flags = "-01"
			}
			want := metadata.Pairs("x", "y", "traceparent", "00-"+sc.TraceID().String()+"-"+sc.SpanID().String()+flags)
			if tt.state != "" {
				want.Set("tracestate", tt.state)
			}
			if !reflect.DeepEqual(md, want) || sc.SpanID().String() == spanID {
				t.Errorf("the next call gets %v, want %v", md, want)
			}
			if !reflect.DeepEqual(tt.metadata, sent) {
				t.Errorf("the metadata became %v", tt.metadata)
			}
		})
	}
}

func TestEndCallRecordsTheStatusOfTheCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code, text string
		err              error
	}{
		{"fine", "OK", "", nil},
		{"a status", "NOT_FOUND", "no such image", status.Error(codes.NotFound, "no such image")},
		{"cancelled", "CANCELLED", "gone", status.Error(codes.Canceled, "gone")},
		{"an unknown code", "99", "?", status.Error(99, "?")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tracer, seen := record(t)
			_, span := StartServer(t.Context(), tracer, "/s/m")
			EndCall(span, tt.err)
			got := seen.Ended()[0]
			if attr(got, "rpc.response.status_code") != tt.code || attr(got, "rpc.method") != "s/m" || attr(got, "rpc.system.name") != "grpc" {
				t.Errorf("attributes %v", got.Attributes())
			}
			if s := got.Status(); s.Description != tt.text || (s.Code == otelcodes.Error) != (tt.err != nil) {
				t.Errorf("status %v", s)
			}
		})
	}
}

func TestCopyPropagatesTraceContextAndNothingElse(t *testing.T) {
	t.Parallel()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(
		"traceparent", sampled, "tracestate", "a=1", "baggage", "k=v", "authorization", "hunter2"))
	for name, tt := range map[string]struct{ md, want metadata.MD }{
		"nothing yet": {metadata.MD{}, metadata.Pairs("traceparent", sampled, "tracestate", "a=1", "baggage", "k=v")},
		"there is one": {
			metadata.Pairs("x", "y", "traceparent", "own"),
			metadata.Pairs("x", "y", "traceparent", "own"),
		},
	} {
		if Copy(ctx, tt.md); !reflect.DeepEqual(tt.md, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.md, tt.want)
		}
	}
}

// FuzzPropagatedTraceContextIsWellFormed: whatever the caller sent.
func FuzzPropagatedTraceContextIsWellFormed(f *testing.F) {
	f.Add(sampled, "a=1")
	f.Add(unsampled, "a=1,,b")
	f.Add("00--", "\xff")
	tracer, _ := record(f)
	f.Fuzz(func(t *testing.T, parent, state string) {
		ctx, span := StartServer(metadata.NewIncomingContext(t.Context(), metadata.MD{"traceparent": {parent}, "tracestate": {state}}), tracer, "/s/m")
		defer EndCall(span, nil)
		md := metadata.MD{}
		Inject(ctx, md)
		again, next := StartServer(metadata.NewIncomingContext(t.Context(), md), tracer, "/s/m")
		defer EndCall(next, nil)
		if trace.SpanContextFromContext(again).TraceID() != span.SpanContext().TraceID() {
			t.Errorf("%v is not recognised as trace context", md)
		}
	})
}
