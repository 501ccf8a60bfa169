package criproxy

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/tracing/otlp"
)

// TestTraceContextIsForwarded makes calls that belong to a trace while the proxy
// makes no spans: every call that reaches the runtime belongs to it as well.
func TestTraceContextIsForwarded(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]int{"forwarded": 1, "rewritten": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTracedBench(t, level, nil)
			ctx := fromCaller(t.Context())
			if _, err := b.client.PullImage(ctx, pullOf(appTag)); err != nil {
				t.Fatal(err)
			}
			b.wantTrace(t, level, func(received) string { return callerSpan })
		})
	}
}

// TestPullMakesSpansOfItsSteps looks at the spans of pulls, and at whose children the calls
// to the runtime are.
func TestPullMakesSpansOfItsSteps(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		level int
		want  []string
	}{
		"rewritten": {3, []string{
			"internal decide in " + pullName, "client list referrers in decide", "client list referrers in decide",
			"client list referrers in decide", "client resolve in decide", "client " + pullName + " in " + pullName,
			"internal check platform in " + pullName, "internal record in " + pullName,
			"server " + pullName + " in " + callerSpan,
		}},
		"forwarded": {1, []string{
			"internal decide in " + pullName, "client list referrers in decide", "client list referrers in decide",
			"client list referrers in decide", "client resolve in decide", "client " + pullName + " in " + pullName,
			"internal offer in " + pullName, "server " + pullName + " in " + callerSpan,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer, seen := spans(t)
			b := newTracedBench(t, tt.level, tracer)
			b.registry.Answer(b.registry.wantToken)
			if _, err := b.client.PullImage(fromCaller(t.Context()), pullOf(appTag)); err != nil {
				t.Fatal(err)
			}
			ended := await(t, seen, len(tt.want))
			slices.Sort(tt.want)
			if got := describeAll(ended); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			b.wantTrace(t, tt.level, func(c received) string {
				switch c.method {
				case "PullImage":
					return spanOf(ended, trace.SpanKindClient, pullName)
				case "List":
					if tt.level == 3 {
						return spanOf(ended, trace.SpanKindInternal, "record")
					}
					return spanOf(ended, trace.SpanKindServer, pullName)
				case "Read":
					if tt.level == 3 {
						return spanOf(ended, trace.SpanKindInternal, "check platform")
					}
					return spanOf(ended, trace.SpanKindServer, pullName) // what the runtime took by itself
				default:
					if tt.level == 1 { // what it is given before
						return spanOf(ended, trace.SpanKindInternal, "offer")
					}
					return spanOf(ended, trace.SpanKindInternal, "record")
				}
			})
			all := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(ended))
			for _, secret := range []string{"hunter2", "name-of-alice", "token-of-alice"} {
				if strings.Contains(all, secret) {
					t.Errorf("the spans say %q: %s", secret, all)
				}
			}
			choice := map[int]string{1: "linux/amd64", 3: "linux/amd64/v3"}[tt.level]
			for _, want := range []string{choice, appTag, "the best of 2 candidates", "server.port Value:" + b.registry.URL[strings.LastIndexByte(b.registry.URL, ':')+1:]} {
				if !strings.Contains(all, want) {
					t.Errorf("the spans do not say %q: %s", want, all)
				}
			}
		})
	}
}

// TestOtherCallsKeepTheirTrace makes a call that passes through while the proxy
// makes spans of pulls.
func TestOtherCallsKeepTheirTrace(t *testing.T) {
	t.Parallel()
	tracer, seen := spans(t)
	b := newTracedBench(t, 1, tracer)
	_, _ = b.client.ImageStatus(fromCaller(t.Context()), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: appTag}})
	_, _ = b.client.ImageFsInfo(fromCaller(t.Context()), &runtimeapi.ImageFsInfoRequest{})
	calls := b.take()
	for _, c := range calls {
		if got := c.md["traceparent"]; !slices.Equal(got, []string{"00-" + callerTrace + "-" + callerSpan + "-01"}) {
			t.Errorf("%s got %q", c.method, got)
		}
	}
	if len(calls) != 2 || len(seen.Started()) != 0 {
		t.Errorf("%d calls and %d spans, want 2 and none", len(calls), len(seen.Started()))
	}
}

// TestFailedPullsMakeSpansWithoutSecrets refuses a pull and pulls a malformed reference.
func TestFailedPullsMakeSpansWithoutSecrets(t *testing.T) {
	t.Parallel()
	tracer, seen := spans(t)
	b := newTracedBench(t, 1, tracer)
	b.decider.bench.Rules.Load().Policy.NoArtifact = "refuse"
	_, refused := b.client.PullImage(t.Context(), pullOf(appTag))
	_, unread := b.client.PullImage(t.Context(), pullOf("https://alice:hunter2@host/x"))
	if refused == nil || unread == nil {
		t.Fatalf("pulled: %v, %v", refused, unread)
	}
	ended := await(t, seen, 9)
	failed := 0
	for _, s := range ended {
		if s.Status().Description != "" {
			failed++
		}
	}
	all := fmt.Sprintf("%+v", tracetest.SpanStubsFromReadOnlySpans(ended))
	if strings.Contains(all, "hunter2") || !strings.Contains(all, "is refused (policy.no_artifact)") || failed != 4 {
		t.Errorf("%d spans of %d failed, want 4: %s", failed, len(ended), all)
	}
}

// TestPullsThatShareADecisionLinkToIt decides once for several pulls: the look-up is in the trace
// of the first, and the others say where. It runs alone, so as to find all that wait.
func TestPullsThatShareADecisionLinkToIt(t *testing.T) {
	const pulls = 3
	tracer, seen := spans(t)
	b := newTracedBench(t, 3, tracer)
	release := make(chan struct{})
	b.registry.Answer(func(http.ResponseWriter, *http.Request) bool {
		<-release
		return false
	})
	var group sync.WaitGroup
	for range pulls {
		group.Go(func() {
			if _, err := b.client.PullImage(t.Context(), pullOf(appTag)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all wait for the decision", func() bool { return waiting("decision.(*Resolver).Decide(") == pulls })
	close(release)
	group.Wait()
	ended := await(t, seen, pulls*4+4)
	var first trace.SpanContext
	for _, s := range ended {
		if s.Name() == "resolve" {
			first = s.Parent()
		}
	}
	linked := 0
	for _, s := range ended {
		switch links := s.Links(); {
		case s.Name() != "decide":
			if len(links) != 0 {
				t.Errorf("%s has links", s.Name())
			}
		case s.SpanContext().Equal(first):
			if len(links) != 0 {
				t.Errorf("the first is linked to %v", links)
			}
		case len(links) == 1 && links[0].SpanContext.Equal(first):
			linked++
		}
	}
	if linked != pulls-1 || !first.IsValid() {
		t.Errorf("%d pulls are linked to the first, want %d", linked, pulls-1)
	}
}

// TestPullsSucceedWhileTheCollectorIsDown pulls while spans have nowhere to go.
func TestPullsSucceedWhileTheCollectorIsDown(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	down, err := otlp.Open(otlp.Options{
		Endpoint: "http://" + listener.Addr().String(), SampleRatio: 1, Program: "cri-proxy", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(down.Close)
	b := newTracedBench(t, 3, down.Tracer())
	for range 300 { // more spans than fit into the queue
		if _, err := b.client.PullImage(t.Context(), pullOf(appTag)); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.decider.recalled(imageID("1v3")); got != "linux/amd64/v3" {
		t.Errorf("%q was pulled", got)
	}
}

// waiting counts the goroutines that are in a select of a function.
func waiting(function string) (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		state, rest, _ := strings.Cut(stack, "\n")
		if strings.Contains(state, "[select") && strings.Contains(rest, function) {
			n++
		}
	}
	return n
}
