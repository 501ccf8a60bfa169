package criproxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// Changes of the rules that the tests are about.
func audit(r *decision.Rules)           { r.Policy.Mode = policy.Audit }
func warn(r *decision.Rules)            { r.Policy.Mode = policy.Warn }
func forwardUnfit(r *decision.Rules)    { r.Policy.NoFit = policy.Forward }
func refuseErrors(r *decision.Rules)    { r.Policy.RegistryError = policy.Refuse }
func exemptStatic(r *decision.Rules)    { r.Policy.ExemptStaticPods = true }
func exemptNamespace(r *decision.Rules) { r.Policy.ExemptNamespaces = []string{"kube-system"} }

// refusal is the sentence for an index of v3 and v4 on a node of level 1.
const refusal = "imagefit: no variant of registry.example/app:1 fits this node: " +
	"linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 1); linux/amd64/v4 needs cpu.x86_64 level >= 4 (is 1)"

// TestUnfitImageIsRefusedWhereThePolicySaysSo pulls an image of which no variant fits, under each policy and
// from each kind of pod.
func TestUnfitImageIsRefusedWhereThePolicySaysSo(t *testing.T) {
	t.Parallel()
	exempt := func(r *decision.Rules) { exemptNamespace(r); exemptStatic(r) }
	tests := []struct {
		name      string
		policy    func(*decision.Rules)
		namespace string
		source    string
		refused   bool
	}{
		{"a pod", nil, "default", "api", true},
		{"a pod of a namespace that is not exempt", exempt, "default", "api", true},
		{"a pod of an exempt namespace", exempt, "kube-system", "api", false},
		{"a static pod", exempt, "default", "file", false},
		{"a static pod where they count", exemptNamespace, "default", "file", true},
		{"audit", audit, "default", "api", false},
		{"no_fit = forward", forwardUnfit, "default", "api", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 1, test.policy)
			entries := b.registry.index("1", "v3", "v4")
			b.takes(entries[0].Digest)
			raw, err := proto.Marshal(pullRequest(test.namespace, test.source))
			if err != nil {
				t.Fatal(err)
			}
			id, err := b.send(t.Context(), raw)
			if test.refused {
				checkStatus(t, err, codes.Unknown, refusal)
				if got := b.runtime.requests(); len(got) != 0 || b.runtime.written() != "" {
					t.Errorf("the runtime got %q", got)
				}
				return
			}
			if err != nil || b.decider.recalled(id) != "linux/amd64/v3" {
				t.Errorf("pulled %q, %v; admission would know %q of it", id, err, b.decider.recalled(id))
			}
			if got := b.runtime.requests(); len(got) != 1 || got[0] != string(raw) {
				t.Errorf("the runtime got %q", got)
			}
		})
	}
}

// TestRefusalReadsTheSameForEveryCredential asks with other credentials, and again.
func TestRefusalReadsTheSameForEveryCredential(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	b.registry.index("1", "v3", "v4")
	for _, user := range []string{"a", "b", "b"} {
		req := pullRequest("default", "api")
		req.Auth.Username = user
		_, err := b.client.PullImage(t.Context(), req)
		checkStatus(t, err, codes.Unknown, refusal)
	}
}

// TestRegistryErrorsFollowThePolicy lets the decision fail in several ways.
func TestRegistryErrorsFollowThePolicy(t *testing.T) {
	t.Parallel()
	answer := func(part string, code int) func(b *pullBench) {
		return func(b *pullBench) {
			b.registry.Answer(func(w http.ResponseWriter, r *http.Request) bool {
				hit := strings.Contains(r.URL.Path, part)
				if hit {
					w.WriteHeader(code)
				}
				return hit
			})
		}
	}
	both := func(changes ...func(*decision.Rules)) func(*decision.Rules) {
		return func(r *decision.Rules) {
			for _, change := range changes {
				change(r)
			}
		}
	}
	tests := []struct {
		name    string
		policy  func(*decision.Rules)
		source  string
		fail    func(b *pullBench)
		refusal string
	}{
		{"forward", nil, "api", answer("/manifests/1", 500), ""},
		{"refuse", refuseErrors, "api", answer("/manifests/1", 500), "answered 500 Internal Server Error"},
		{"refuse in spite of no_fit = forward", both(refuseErrors, forwardUnfit), "api", answer("/manifests/1", 500), "answered 500"},
		{"refuse, but audit", both(refuseErrors, audit), "api", answer("/manifests/1", 500), ""},
		{"refuse, but a static pod", both(refuseErrors, exemptStatic), "file", answer("/manifests/1", 500), ""},
		{"the runtime finds no tag either", refuseErrors, "api", answer("/manifests/1", 404), ""},
		{"the runtime is turned away too", refuseErrors, "api", answer("/manifests/1", 401), ""},
		{"only the referrers fail", refuseErrors, "api", answer("/referrers/", 502), "answered 502 Bad Gateway"},
		{"only the referrers are forbidden", refuseErrors, "api", answer("/referrers/", 403), ""},
		{"an index that cannot be read", refuseErrors, "api", func(b *pullBench) {
			b.registry.Manifest("application/vnd.oci.image.index.v1+json", "no index", "1")
		}, ""},
		{"hostile text", refuseErrors, "api", func(b *pullBench) {
			b.decider.before = func(context.Context, int) error {
				return errors.New("a\nb\x1b[2J" + strings.Repeat("x", 1<<20))
			}
		}, "a; b?[2Jxxx"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 1, test.policy)
			test.fail(b)
			req := pullRequest("default", test.source)
			_, err := b.client.PullImage(t.Context(), req)
			pulled := len(b.runtime.requests())
			if test.refusal == "" {
				if err != nil || pulled != 1 {
					t.Errorf("error %v, %d pulls", err, pulled)
				}
				return
			}
			checkStatus(t, err, codes.Unknown, "")
			prefix := "imagefit: what " + appTag + " needs cannot be found out: "
			if err == nil || !strings.Contains(err.Error(), prefix) || !strings.Contains(err.Error(), test.refusal) || len(err.Error()) > 1100 {
				t.Errorf("error %.300v, want %q and %q", err, prefix, test.refusal)
			}
			if pulled != 0 {
				t.Errorf("%d pulls", pulled)
			}
		})
	}
}

// A reload while a pull is being decided: what is done with the decision follows
// the policy that it was made by.
func TestReloadDuringAPullDoesNotMixPolicies(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	b.registry.index("1", "v3")
	before, after := b.decider.bench.Rules.Load(), *b.decider.bench.Rules.Load()
	after.Policy.Mode, after.Policy.NoFit = policy.Audit, policy.Forward
	b.decider.before = func(context.Context, int) error {
		b.decider.bench.Rules.Store(&after)
		return nil
	}
	_, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, "imagefit: no variant of "+appTag+" fits this node: linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 1)")
	rec := b.last()
	if rec.Mode != before.Policy.Mode || rec.Action != policy.Refused || !slices.Contains(rec.Cases, policy.Case{Key: "no_fit", Answer: policy.Refuse}) {
		t.Errorf("recorded %+v", rec)
	}
}
