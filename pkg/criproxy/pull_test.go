package criproxy

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// TestPullIsForwardedByteForByte has pulls that are not to be changed. Their bytes are
// in an order and with fields that no encoder here would make.
func TestPullIsForwardedByteForByte(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		level  int
		policy func(*decision.Rules)
		setUp  func(b *pullBench) // returns with the runtime taking what it would
		id     string
		kept   string // what is remembered of the image
	}{
		{"the choice is what the runtime takes", 1, nil, func(*pullBench) {}, "1", "linux/amd64"},
		{"a single image", 3, nil, func(b *pullBench) {
			b.takes(b.registry.image("single", "1").Digest)
		}, "single", "any"},
		{"no entry for this node", 3, nil, func(b *pullBench) {
			other := b.registry.image("other")
			other.Platform.Architecture = "s390x"
			b.registry.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: []ocispec.Descriptor{other}}, "1")
			b.takes(other.Digest)
		}, "other", ""},
		{"audit", 3, audit, func(*pullBench) {}, "1", "linux/amd64"},
		{"the registry is down", 3, nil, func(b *pullBench) { b.registry.Close() }, "1", ""},
		{"the decision takes too long", 3, func(r *decision.Rules) { r.Timeout = 50 * time.Millisecond }, func(b *pullBench) {
			b.decider.before = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		}, "1", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, test.level, test.policy)
			test.setUp(b)
			raw, err := proto.Marshal(pullRequest("default", "api"))
			if err != nil {
				t.Fatal(err)
			}
			raw = append(unknownField(), append(raw, unknownField()...)...)
			id, err := b.send(t.Context(), raw)
			if err != nil || id != imageID(test.id) {
				t.Fatalf("pulled %s, %v, want %s", id, err, imageID(test.id))
			}
			if got := b.runtime.requests(); len(got) != 1 || got[0] != string(raw) {
				t.Errorf("the runtime got %q, want %q", got, raw)
			}
			kept := b.decider.recalled(id)
			if test.kept == "any" && kept == "" || test.kept != "any" && kept != test.kept {
				t.Errorf("remembered %q, want %q", kept, test.kept)
			}
			if b.runtime.written() != "" {
				t.Errorf("records were written: %s", b.runtime.written())
			}
		})
	}
}

// TestUndecodableRequestIsForwarded leaves it to the runtime to say what is wrong.
func TestUndecodableRequestIsForwarded(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	raw := "\xff\xff\xff no protobuf"
	if _, err := b.send(t.Context(), []byte(raw)); err == nil {
		t.Error("the runtime understood it")
	}
	if got := b.runtime.requests(); len(got) != 1 || got[0] != raw || b.decider.decisions() != 0 {
		t.Errorf("the runtime got %q after %d decisions", got, b.decider.decisions())
	}
}

func TestEmptyRequestIsForwarded(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	if _, err := b.send(t.Context(), nil); status.Code(err) != codes.NotFound {
		t.Errorf("%v, want the answer of the runtime", err)
	}
	if got := b.runtime.requests(); len(got) != 1 || got[0] != "" {
		t.Errorf("the runtime got %q", got)
	}
}

// TestChoiceIsPulledByDigestAndRecorded follows a pull whose choice is not what the runtime takes.
func TestChoiceIsPulledByDigestAndRecorded(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	v3 := b.registry.image("1v3")
	id, err := b.pull(t.Context())
	if shown := b.status(t, appTag); err != nil || id != imageID("1v3") || shown != id {
		t.Fatalf("pulled %q, %v; the reference shows %q at the moment of the answer", id, err, shown)
	}

	want := pullRequest("default", "api")
	want.Image.Image = appRepo + "@" + v3.Digest.String()
	var got runtimeapi.PullImageRequest
	requests := b.runtime.requests()
	if len(requests) != 1 {
		t.Fatalf("the runtime got %d requests", len(requests))
	}
	if err := proto.Unmarshal([]byte(requests[0]), &got); err != nil || !proto.Equal(&got, want) {
		t.Errorf("the runtime got %v, want %v", &got, want)
	}

	asked := b.decider.asked[0]
	if asked.Reference != appTag || asked.Auth.Username != "u" || asked.Auth.Password != "p" || asked.Auth.ServerAddress != "registry.example" {
		t.Errorf("decided with %+v", asked)
	}
	record := b.runtime.Record(appTag)
	if record.GetTarget().GetDigest() != v3.Digest.String() || record.GetTarget().GetMediaType() != v3.MediaType || record.GetTarget().GetSize() != v3.Size {
		t.Errorf("the record points at %v", record.GetTarget())
	}
	body, _ := b.registry.Content("1")
	index := digest.FromBytes(body)
	for label, want := range map[string]string{
		"io.cri-containerd.image": "managed", "imagefit.io/index": index.String(), "imagefit.io/manifest": v3.Digest.String(),
	} {
		if got := record.GetLabels()[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if got := b.decider.recalled(id); got != "linux/amd64/v3" {
		t.Errorf("remembered %q", got)
	}
}

// TestChoiceIsPulledWhenTheRuntimeTookAnotherVariant has a runtime that does not take what it was expected
// to.
func TestChoiceIsPulledWhenTheRuntimeTookAnotherVariant(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	entries := b.registry.index("1", "", "v3")
	b.takes(entries[1].Digest)
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1") || b.status(t, appTag) != id {
		t.Errorf("pulled %q, %v; shows %q", id, err, b.status(t, appTag))
	}
	if got := b.runtime.requests(); len(got) != 2 || !strings.Contains(got[1], entries[0].Digest.String()) {
		t.Errorf("the runtime got %q", got)
	}
	b.wantRecord(t, policy.Pulled, "linux/amd64", id)
}

// TestTagThatMovedIsDecidedAgain moves the tag between the decision and the pull.
func TestTagThatMovedIsDecidedAgain(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	moved := b.registry.index("2", "", "v2")
	b.takes(moved[0].Digest)
	b.decider.before = func(_ context.Context, n int) error {
		if n == 2 {
			b.registry.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: moved}, "1")
		}
		return nil
	}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("2") || b.decider.recalled(id) != "linux/amd64" {
		t.Errorf("pulled %q, %v, remembered %q", id, err, b.decider.recalled(id))
	}
	if len(b.runtime.requests()) != 2 || b.decider.decisions() != 2 {
		t.Errorf("%d pulls, %d decisions", len(b.runtime.requests()), b.decider.decisions())
	}
	b.wantRecord(t, policy.Pulled, "linux/amd64", id)
}

// TestTagThatMovedToAnUnfitImageIsRefused moves the tag to an image that does not fit: it must not
// slip through because the runtime has it already.
func TestTagThatMovedToAnUnfitImageIsRefused(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	moved := b.registry.index("2", "v4")
	b.takes(moved[0].Digest)
	b.decider.before = func(_ context.Context, n int) error {
		if n == 2 {
			b.registry.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: moved}, "1")
		}
		return nil
	}
	_, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, "imagefit: no variant of "+appTag+" fits this node: linux/amd64/v4 needs cpu.x86_64 level >= 4 (is 1)")
}

// TestTagThatAlwaysMovesIsDecidedTwice has a runtime that always takes something else.
func TestTagThatAlwaysMovesIsDecidedTwice(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	b.takes(b.registry.image("elsewhere").Digest)
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("elsewhere") || b.decider.recalled(id) != "" {
		t.Errorf("pulled %q, %v, remembered %q", id, err, b.decider.recalled(id))
	}
	if len(b.runtime.requests()) != 2 || b.decider.decisions() != 2 {
		t.Errorf("%d pulls, %d decisions, want 2 and no more", len(b.runtime.requests()), b.decider.decisions())
	}
	b.wantRecord(t, policy.Forwarded, "", "")
}

// TestPullWithoutAContentStoreIsForwardedOnce has a runtime that does not show its manifests, as CRI-O:
// what it took cannot be checked, and is pulled once only.
func TestPullWithoutAContentStoreIsForwardedOnce(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	b.runtime.Before = func(context.Context, string, string) error {
		return status.Error(codes.Unimplemented, "unknown service")
	}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1") || len(b.runtime.requests()) != 1 {
		t.Errorf("pulled %q, %v, in %d requests", id, err, len(b.runtime.requests()))
	}
}

// TestPullIsForwardedWhenTheRegistryLacksTheChoice has a registry whose index names a variant that it does not
// have.
func TestPullIsForwardedWhenTheRegistryLacksTheChoice(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	entries := b.registry.index("1", "", "v3")
	b.runtime.OnPull = func(_ context.Context, ref string) error {
		if strings.Contains(ref, entries[1].Digest.String()) {
			return status.Error(codes.NotFound, "failed to pull and unpack image: not found")
		}
		return nil
	}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1") || b.decider.recalled(id) != "linux/amd64" {
		t.Errorf("pulled %q, %v, remembered %q", id, err, b.decider.recalled(id))
	}
	if got := b.runtime.requests(); len(got) != 2 || !strings.Contains(got[1], appTag) {
		t.Errorf("the runtime got %q", got)
	}
	b.wantRecord(t, policy.Forwarded, "linux/amd64", id)
}

func TestErrorsOfTheRuntimeReachTheClient(t *testing.T) {
	t.Parallel()
	for level, name := range map[int]string{1: "forwarded", 3: "by digest"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, level, nil)
			b.runtime.OnPull = func(context.Context, string) error { return status.Error(codes.ResourceExhausted, "disk full") }
			_, err := b.pull(t.Context())
			checkStatus(t, err, codes.ResourceExhausted, "disk full")
			if len(b.runtime.requests()) != 1 || b.runtime.written() != "" {
				t.Errorf("%d pulls, wrote %q", len(b.runtime.requests()), b.runtime.written())
			}
		})
	}
}

// TestPullEndsWithTheClientAtEveryStage ends the client's patience at each stage of a pull.
func TestPullEndsWithTheClientAtEveryStage(t *testing.T) {
	t.Parallel()
	stages := map[string]func(b *pullBench, reached func()){
		"decision": func(b *pullBench, reached func()) {
			b.decider.before = func(ctx context.Context, _ int) error { reached(); <-ctx.Done(); return ctx.Err() }
		},
		"pull": func(b *pullBench, reached func()) {
			b.runtime.OnPull = func(ctx context.Context, _ string) error {
				reached()
				<-ctx.Done()
				return status.FromContextError(ctx.Err()).Err()
			}
		},
		"record": func(b *pullBench, reached func()) {
			b.runtime.Delay = fakeruntime.Never
			b.runtime.OnPull = func(context.Context, string) error { time.AfterFunc(50*time.Millisecond, reached); return nil }
		},
	}
	for name, prepare := range stages {
		t.Run(name+", deadline", func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 3, refuseErrors)
			prepare(b, func() {})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := b.pull(ctx)
			checkStatus(t, err, codes.DeadlineExceeded, "")
		})
		t.Run(name+", cancel", func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 3, refuseErrors)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			prepare(b, cancel)
			_, err := b.pull(ctx)
			checkStatus(t, err, codes.Canceled, "")
		})
	}
}

// TestPullKeepsTheCodesOfTheClientsContext calls what the handler calls, past gRPC's client,
// which would make the code up by itself.
func TestPullKeepsTheCodesOfTheClientsContext(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, refuseErrors)
	b.decider.before = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	call := b.puller.newPull(pullRequest("default", "api"), nil)
	checkStatus(t, call.run(ctx).err, codes.DeadlineExceeded, "context deadline exceeded")

	ctx, stop := context.WithCancel(t.Context())
	stop()
	checkStatus(t, call.run(ctx).err, codes.Canceled, "context canceled")
}

func TestConcurrentPullsShareTheirRecords(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			id, err := b.pull(t.Context())
			if err != nil || id != imageID("1v3") || b.status(t, appTag) != id {
				t.Errorf("pulled %q, %v", id, err)
			}
		})
	}
	group.Wait()
	if got := b.runtime.written(); strings.Count(got, "create ") != 1 || strings.Count(got, "update ") > 14 {
		t.Errorf("wrote %s", got)
	}
}

// wantRecord checks the only record.
func (b *pullBench) wantRecord(t *testing.T, action policy.Action, choice, image string) {
	t.Helper()
	if r := b.last(); len(b.records) != 1 || r.Action != action || r.Choice != choice || r.Image != image || r.Error != "" {
		t.Errorf("%d records, the last is %+v", len(b.records), r)
	}
}

func checkStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()
	got := status.Convert(err)
	if got.Code() != code || message != "" && got.Message() != message {
		t.Errorf("got  %s %q\nwant %s %q", got.Code(), got.Message(), code, message)
	}
}
