package criproxy

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// TestEveryPullLeavesOneRecord pulls an index in many ways and looks at the one record of each.
func TestEveryPullLeavesOneRecord(t *testing.T) {
	t.Parallel()
	const best = "linux/amd64/v3 of registry.example/app:1 is the best of 2 candidates: it fits"
	bare := []policy.Case{{Key: "no_artifact", Answer: policy.Select}}
	set := func(change func(*policy.Policy)) func(*decision.Rules) {
		return func(r *decision.Rules) { change(&r.Policy) }
	}
	verified := func(b *pullBench) {
		b.puller.Unchanged = func(_, _ string, a policy.Answers) (string, []policy.Case) {
			return "images are verified", a.Cases(policy.Arose{ImageVerifier: true})
		}
	}
	tests := []struct {
		name   string
		level  int
		change func(*decision.Rules)
		setUp  func(b *pullBench)
		want   decisionlog.Record // beside what all have
		reason string
	}{
		{"the choice", 3, nil, nil, decisionlog.Record{
			Action: policy.Pulled, ReasonCode: policy.BestCandidate, Choice: "linux/amd64/v3", Image: imageID("1v3"), Candidates: 2, Cases: bare,
		}, best},
		{"as the runtime", 1, nil, nil, decisionlog.Record{
			Action: policy.Pulled, ReasonCode: policy.BestCandidate, Choice: "linux/amd64", Image: imageID("1"), Candidates: 2, Cases: bare,
		}, "linux/amd64 of registry.example/app:1 is the best"},
		{"audit", 3, audit, nil, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.AuditOnly, Would: policy.Pulled, Mode: policy.Audit,
			Choice: "linux/amd64", Image: imageID("1"), Candidates: 2, Cases: bare,
		}, best},
		{"audit of the repository", 3, set(func(p *policy.Policy) {
			p.Repositories = map[string]policy.Answers{appRepo: {Mode: policy.Audit}}
		}), nil, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.AuditOnly, Would: policy.Pulled, Mode: policy.Audit,
			Choice: "linux/amd64", Image: imageID("1"), Candidates: 2, Cases: bare,
		}, best},
		{"audit, as the runtime", 1, audit, nil, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.BestCandidate, Mode: policy.Audit,
			Choice: "linux/amd64", Image: imageID("1"), Candidates: 2, Cases: bare,
		}, "linux/amd64 of registry.example/app:1 is the best"},
		{"warn", 3, warn, nil, decisionlog.Record{
			Action: policy.Pulled, ReasonCode: policy.BestCandidate, Mode: policy.Warn,
			Choice: "linux/amd64/v3", Image: imageID("1v3"), Candidates: 2, Cases: bare,
		}, best},
		{"warn of the namespace, and nothing fits", 3, set(func(p *policy.Policy) {
			p.NoArtifact, p.Namespaces = policy.Refuse, map[string]string{"default": policy.Warn}
		}), nil, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.WithoutArtifact, Would: policy.Refused, Mode: policy.Warn,
			Choice: "linux/amd64", Image: imageID("1"), Candidates: 2, Cases: []policy.Case{{Key: "no_artifact", Answer: policy.Refuse}},
		}, appTag + " has no compatibility artifact and is refused (policy.no_artifact)"},
		{"no artifact, forward", 3, set(func(p *policy.Policy) { p.NoArtifact = policy.Forward }), nil, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.WithoutArtifact, Choice: "linux/amd64", Image: imageID("1"), Candidates: 2,
			Cases: []policy.Case{{Key: "no_artifact", Answer: policy.Forward}},
		}, appTag + " has no compatibility artifact and is left to the runtime (policy.no_artifact)"},
		{"no artifact, refuse", 3, set(func(p *policy.Policy) { p.NoArtifact = policy.Refuse }), nil, decisionlog.Record{
			Action: policy.Refused, ReasonCode: policy.WithoutArtifact, Candidates: 2, Cases: []policy.Case{{Key: "no_artifact", Answer: policy.Refuse}},
			Error: "",
		}, appTag + " has no compatibility artifact and is refused (policy.no_artifact)"},
		{"the registry is down", 3, nil, func(b *pullBench) { b.registry.Close() }, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.RegistryFailed, Cases: []policy.Case{{Key: "registry_error", Answer: policy.Forward}},
		}, "what " + appTag + " needs cannot be found out: "},
		{"the registry is down, refuse", 3, refuseErrors, func(b *pullBench) { b.registry.Close() }, decisionlog.Record{
			Action: policy.Refused, ReasonCode: policy.RegistryFailed, Cases: []policy.Case{{Key: "registry_error", Answer: policy.Refuse}},
		}, "what " + appTag + " needs cannot be found out: "},
		{"the registry is down, refuse, audit", 3, func(r *decision.Rules) { refuseErrors(r); audit(r) }, func(b *pullBench) { b.registry.Close() }, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.RegistryFailed, Would: policy.Refused, Mode: policy.Audit,
			Cases: []policy.Case{{Key: "registry_error", Answer: policy.Refuse}},
		}, "what " + appTag + " needs cannot be found out: "},
		{"the runtime finds nothing either", 3, nil, func(b *pullBench) {
			b.registry.Answer(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true })
		}, decisionlog.Record{Action: policy.Forwarded, ReasonCode: policy.RegistryNotFound}, "what " + appTag + " needs cannot be found out: "},
		{"verified", 3, nil, verified, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.VerifiedImages, Would: policy.Pulled, Choice: "linux/amd64", Image: imageID("1"), Candidates: 2,
			Cases: append(bare[:1:1], policy.Case{Key: "image_verifier", Answer: policy.Forward}),
		}, "images are verified"},
		{"verified, as the runtime", 1, nil, verified, decisionlog.Record{
			Action: policy.Forwarded, ReasonCode: policy.BestCandidate, Choice: "linux/amd64", Image: imageID("1"), Candidates: 2, Cases: bare,
		}, "linux/amd64 of registry.example/app:1 is the best"},
		{"verified, and no variant fits", 1, nil, func(b *pullBench) {
			verified(b)
			b.registry.index("1", "v3", "v4")
		}, decisionlog.Record{
			Action: policy.Refused, ReasonCode: policy.NothingFits, Candidates: 2, Cases: append(bare[:1:1], policy.Case{Key: "no_fit", Answer: policy.Refuse}),
		}, "no variant of registry.example/app:1 fits this node"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, test.level, test.change)
			if test.setUp != nil {
				test.setUp(b)
			}
			_, err := b.pull(t.Context())
			if refused := test.want.Action == policy.Refused; (err != nil) != refused {
				t.Errorf("error %v", err)
			}
			got := b.last()
			if !strings.HasPrefix(got.Reason, test.reason) {
				t.Errorf("reason %q, want %q", got.Reason, test.reason)
			}
			if (got.Manifest == "") != (got.Image == "") {
				t.Errorf("manifest %q, image %q", got.Manifest, got.Image)
			}
			if len(got.Entries) != got.Candidates {
				t.Errorf("entries %+v, want %d", got.Entries, got.Candidates)
			}
			got.Reason, got.Manifest, got.Entries = "", "", nil
			want := test.want
			want.Reference, want.Namespace, want.Pod = appTag, "default", "pod"
			if want.Mode == "" {
				want.Mode = policy.Enforce
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("record\ngot  %+v\nwant %+v", got, want)
			}
			if len(b.records) != 1 {
				t.Errorf("%d records", len(b.records))
			}
		})
	}
}

// TestFailedPullLeavesARecord has the runtime fail.
func TestFailedPullLeavesARecord(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.OnPull = func(context.Context, string) error { return status.Error(codes.Unknown, "no space left") }
	if _, err := b.pull(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if r := b.last(); r.Action != policy.Failed || !strings.Contains(r.Error, "no space left") || r.Choice != "linux/amd64/v3" {
		t.Errorf("record %+v", r)
	}
}

// TestPullsWithoutADecisionLeaveARecord: what is no request or reference, and what imagefit
// itself stumbles over, is in the decision log as well.
func TestPullsWithoutADecisionLeaveARecord(t *testing.T) {
	t.Parallel()
	t.Run("a request that cannot be decoded", func(t *testing.T) {
		t.Parallel()
		b := newPullBench(t, 3, nil)
		_ = b.conn.Invoke(t.Context(), PullImage, cri.NewFrame([]byte{0xff}), new(cri.Frame), grpc.ForceCodecV2(cri.Codec()))
		if r := b.last(); r.Action != policy.Forwarded || r.ReasonCode != policy.InvalidRequest || len(b.records) != 1 {
			t.Errorf("record %+v of %d", r, len(b.records))
		}
	})
	t.Run("a reference that cannot be read", func(t *testing.T) {
		t.Parallel()
		b := newPullBench(t, 3, nil)
		_, _ = b.client.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: "UPPER:x:y"}})
		if r := b.last(); r.Action != policy.Forwarded || r.ReasonCode != policy.InvalidReference || len(b.records) != 1 {
			t.Errorf("record %+v of %d", r, len(b.records))
		}
	})
	t.Run("a panic", func(t *testing.T) {
		t.Parallel()
		b := newPullBench(t, 3, nil)
		b.decider.before = func(context.Context, int) error { panic("test") }
		if _, err := b.pull(t.Context()); err == nil {
			t.Error("no error")
		}
		if r := b.last(); r.Action != policy.Failed || r.ReasonCode != policy.InternalError || r.Reference != appTag || len(b.records) != 1 {
			t.Errorf("record %+v of %d", r, len(b.records))
		}
	})
}

// TestAForwardedPullSaysWhy pulls what there is nothing to choose of.
func TestAForwardedPullSaysWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		setUp  func(r *pullRegistry)
		code   policy.Reason
		reason string
	}{
		{"a single image", func(r *pullRegistry) { r.image("1", "1") }, policy.SingleManifest, "is a single image that fits"},
		{"one candidate", func(r *pullRegistry) { r.Index("1", r.image("1")) }, policy.OneCandidate, "is the only variant of"},
		{"no entry for this architecture", func(r *pullRegistry) {
			r.Index("1", r.Image("linux/arm64", "a"), r.Image("linux/s390x", "s"))
		}, policy.OtherPlatform, "has no entry for linux/amd64 (there are linux/arm64"},
		{"a single image for another", func(r *pullRegistry) { r.Image("linux/arm64", "a", "1") }, policy.OtherPlatform, "is a single image for linux/arm64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 3, nil)
			test.setUp(b.registry)
			_, _ = b.pull(t.Context())
			r := b.last()
			if r.ReasonCode != test.code || !strings.Contains(r.Reason, test.reason) || r.Level() < slog.LevelInfo {
				t.Errorf("%s: %q, at %v; want %s: %q", r.ReasonCode, r.Reason, r.Level(), test.code, test.reason)
			}
		})
	}
}
