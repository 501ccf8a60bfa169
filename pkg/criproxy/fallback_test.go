package criproxy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// fallbackBench is a pullBench with an index of plain amd64, v2 and v3 on a node of level
// 3, whose runtime fails to pull some of them.
type fallbackBench struct {
	*pullBench
	entries map[string]ocispec.Descriptor // by variant, "" is what the runtime takes
	failing map[string]error              // by variant, or by appTag
	tried   []string
}

func newFallbackBench(t *testing.T, change func(*decision.Rules)) *fallbackBench {
	t.Helper()
	b := &fallbackBench{newPullBench(t, 3, change), map[string]ocispec.Descriptor{}, map[string]error{}, nil}
	b.offer("", "v2", "v3")
	b.runtime.OnPull = func(_ context.Context, ref string) error {
		name := ref
		for variant, entry := range b.entries {
			if strings.HasSuffix(ref, entry.Digest.String()) {
				name = variant
			}
		}
		b.tried = append(b.tried, name)
		return b.failing[name]
	}
	return b
}

func (b *fallbackBench) offer(variants ...string) {
	for i, entry := range b.registry.index("1", variants...) {
		b.entries[variants[i]] = entry
	}
	b.takes(b.entries[variants[0]].Digest)
}

// wantPull pulls and checks which image that gives after which attempts.
func (b *fallbackBench) wantPull(t *testing.T, want string, tried ...string) {
	t.Helper()
	b.tried = nil
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1"+want) || b.status(t, appTag) != id {
		t.Errorf("pulled %q, %v, want %q", id, err, want)
	}
	if got := strings.Join(b.tried, " "); got != strings.Join(tried, " ") {
		t.Errorf("tried %q, want %q", got, tried)
	}
}

// words are what containerd 2.4 says of a fault.
func words(code codes.Code, ending string) error {
	return status.Error(code, `failed to pull and unpack image "`+appRepo+`@sha256:`+strings.Repeat("0", 64)+`": `+ending)
}

func statusOf(answer string) error {
	return words(codes.Unknown, "failed to resolve image: unexpected status from HEAD request to https://registry.example/v2/app/manifests/sha256:"+
		strings.Repeat("a", 64)+": "+answer)
}

// TestNextCandidateIsPulledWhereTheBestFails has everything that containerd 2.4 was seen to
// say, and what another runtime may say.
func TestNextCandidateIsPulledWhereTheBestFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"401": {statusOf("401 Unauthorized"), "401 Unauthorized"},
		"403": {statusOf("403 Forbidden"), "app/manifests/sha256:aaaaaaaaaaaa: 403 Forbidden"},
		"404": {words(codes.NotFound, "not found"), "not found"},
		"412": {statusOf("412 Precondition Failed"), "412 Precondition Failed"},
		"424": {statusOf("424 Failed Dependency"), "424 Failed Dependency"},
		"429": {words(codes.ResourceExhausted, "429 Too Many Requests"), "429 Too Many Requests"},
		"500": {statusOf("500 Internal Server Error"), "500 Internal Server Error"},
		"503": {words(codes.Unavailable, "503 Service Unavailable"), "503 Service Unavailable"},
		"blob missing": {
			words(codes.NotFound, "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor sha256:"+strings.Repeat("b", 64)+
				" (application/vnd.oci.image.layer.v1.tar+gzip) from remote: not found"), "from remote: not found",
		},
		"damaged":       {words(codes.FailedPrecondition, "unexpected commit digest: failed precondition"), "unexpected commit digest"},
		"encrypted":     {words(codes.Unknown, `ctd-decoder resolves to executable in current directory`), "ctd-decoder"},
		"stalled":       {words(codes.Canceled, "context canceled"), "context canceled"},
		"timeout":       {words(codes.DeadlineExceeded, "dial tcp: i/o timeout"), "i/o timeout"},
		"other runtime": {status.Error(codes.Unknown, "SignatureValidationFailed: Source image rejected"), "SignatureValidationFailed"},
		"long": {
			words(codes.Unknown, strings.Repeat("a\nb ü ", 1000)+"https://u:hunter2@cdn.example/blob?sig=hunter2: 403 Forbidden"), "403 Forbidden",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFallbackBench(t, nil)
			b.failing["v3"] = test.err
			b.wantPull(t, "v2", "v3", "v2")
			r := b.last()
			if r.Action != policy.Pulled || r.Choice != "linux/amd64/v2" || r.InsteadOf != "linux/amd64/v3" || r.Image != imageID("1v2") || r.Error != "" {
				t.Errorf("record %+v", r)
			}
			if !strings.Contains(r.Reason, "; linux/amd64/v3 cannot be pulled: ") || !strings.Contains(r.Reason, test.says) ||
				strings.Contains(r.Reason, "hunter2") || len(r.Reason) > 600 {
				t.Errorf("reason %q", r.Reason)
			}
		})
	}
}

// TestRequestAsItCameIsTheLastAttempt has all variants fail that are pulled by digest.
func TestRequestAsItCameIsTheLastAttempt(t *testing.T) {
	t.Parallel()
	b := newFallbackBench(t, nil)
	b.failing["v3"], b.failing["v2"] = statusOf("403 Forbidden"), statusOf("429 Too Many Requests")
	b.wantPull(t, "", "v3", "v2", appTag)
	r := b.last()
	if r.Action != policy.Forwarded || r.Choice != "linux/amd64" || r.InsteadOf != "linux/amd64/v3" ||
		!strings.Contains(r.Reason, "v3 cannot be pulled") || !strings.Contains(r.Reason, "v2 cannot be pulled") {
		t.Errorf("record %+v", r)
	}
	b.failing[appTag] = statusOf("500 Internal Server Error")
	b.puller.unpullable = newUnpullable()
	_, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, status.Convert(b.failing[appTag]).Message())
	if r := b.last(); r.Action != policy.Failed || r.Choice != "linux/amd64/v3" || !strings.Contains(r.Error, "500 Internal") || r.InsteadOf != "" {
		t.Errorf("record %+v", r)
	}
	clear(b.failing)
	b.wantPull(t, "v3", "v3") // where nothing can be pulled, nothing is learned of the variants
}

// TestVariantIsPulledByDigestWhereTheRequestAsItCameFails has a runtime whose own choice is
// the best.
func TestVariantIsPulledByDigestWhereTheRequestAsItCameFails(t *testing.T) {
	t.Parallel()
	b := newFallbackBench(t, nil)
	entries := []ocispec.Descriptor{b.registry.image("1"), b.registry.image("other")}
	b.registry.Index("1", entries...)
	b.entries = map[string]ocispec.Descriptor{"other": entries[1]}
	b.failing[appTag] = statusOf("424 Failed Dependency")
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("other") || strings.Join(b.tried, " ") != appTag+" other" {
		t.Errorf("pulled %q, %v after %q", id, err, b.tried)
	}
}

// TestFailureOfTheClientOrTheNodeIsNotTriedAgain has faults that no other variant would
// fare better with.
func TestFailureOfTheClientOrTheNodeIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"no space":         words(codes.Unknown, "write /var/lib/containerd/ingest: no space left on device"),
		"quota":            words(codes.Unknown, "mkdir: disk quota exceeded"),
		"too large for us": status.Error(codes.ResourceExhausted, "grpc: received message larger than max"),
		"runtime killed":   status.Error(codes.Unavailable, "error reading from server: EOF"),
		"no runtime":       status.Error(codes.Unimplemented, "unknown service runtime.v1.ImageService"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFallbackBench(t, nil)
			b.failing["v3"] = err
			_, got := b.pull(t.Context())
			checkStatus(t, got, status.Code(err), status.Convert(err).Message())
			if r := b.last(); len(b.tried) != 1 || r.Action != policy.Failed || r.Choice != "linux/amd64/v3" {
				t.Errorf("tried %q, record %+v", b.tried, r)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if after(ctx, words(codes.DeadlineExceeded, "context deadline exceeded")) != nextNothing {
		t.Error("another attempt though the deadline passes")
	}
	cancel()
	if after(ctx, errors.New("any")) != nextNothing {
		t.Error("another attempt though the client is gone")
	}
}

// TestVariantThatDoesNotFitIsNoFallback has an index whose only other variant does not
// fit, which only pods that are exempt get.
func TestVariantThatDoesNotFitIsNoFallback(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*decision.Rules)
		namespace string
		forwarded bool
	}{
		"a pod":            {exemptNamespace, "default", false},
		"an exempt pod":    {exemptNamespace, "kube-system", true},
		"no_fit = forward": {forwardUnfit, "default", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFallbackBench(t, test.change)
			b.offer("", "v3")
			b.registry.Attach(b.entries[""], fakeregistry.Artifact{Attributes: `"cpu-cpuid.AMXINT8": true`})
			b.failing["v3"] = statusOf("403 Forbidden")
			for range 2 { // what failed is tried again where nothing else may run
				b.tried = nil
				raw, err := proto.Marshal(pullRequest(test.namespace, "api"))
				if err != nil {
					t.Fatal(err)
				}
				id, err := b.send(t.Context(), raw)
				if test.forwarded {
					if err != nil || id != imageID("1") || b.tried[len(b.tried)-1] != appTag {
						t.Errorf("pulled %q, %v after %q", id, err, b.tried)
					}
					continue
				}
				checkStatus(t, err, codes.Unknown, status.Convert(b.failing["v3"]).Message())
				if strings.Join(b.tried, " ") != "v3" {
					t.Errorf("tried %q", b.tried)
				}
			}
		})
	}
}

// TestAttemptsOfOnePullAreBounded has an index of many variants, all of which fail.
func TestAttemptsOfOnePullAreBounded(t *testing.T) {
	t.Parallel()
	b := newFallbackBench(t, nil)
	entries := []ocispec.Descriptor{b.registry.image("1")}
	for _, name := range strings.Fields("a b c d e f g h") {
		entries = append(entries, b.registry.image(name+"v3"))
	}
	b.registry.Index("1", entries...)
	b.takes(entries[0].Digest)
	b.runtime.OnPull = func(_ context.Context, ref string) error {
		b.tried = append(b.tried, ref)
		if ref != appTag {
			return statusOf("403 Forbidden")
		}
		return nil
	}
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1") || len(b.tried) != maxByDigest+1 || len(b.last().Reason) > 1024 {
		t.Errorf("pulled %q, %v after %d attempts, reason %q", id, err, len(b.tried), b.last().Reason)
	}
}
