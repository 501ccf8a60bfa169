package decision

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/trust"
)

// TestSignedMetadataThatWasSeenIsNotRolledBack attaches signed metadata that a node does not
// meet, lets it be seen, and lets whoever writes to the registry change that.
func TestSignedMetadataThatWasSeenIsNotRolledBack(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "p256"), trusttest.New(t, "ed25519")
	older := func(t *testing.T, r *fakeregistry.Registry, a ocispec.Descriptor) {
		r.Unlist(a)
		ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: at(day1)}))
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, r *fakeregistry.Registry, a, artifact ocispec.Descriptor)
		rules  func(*Rules) // or nil
		counts bool
		want   string // in the reason
	}{
		{"nothing", func(*testing.T, *fakeregistry.Registry, ocispec.Descriptor, ocispec.Descriptor) {}, nil, true, ""},
		{"it is hidden", func(_ *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) { r.Unlist(a) }, nil, true, "the registry no longer has it"},
		{"its signature is hidden", func(_ *testing.T, r *fakeregistry.Registry, _, artifact ocispec.Descriptor) { r.Unlist(artifact) }, nil, true, "the registry no longer has it, or not its signature"},
		{"an older one is served", func(t *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) { older(t, r, a) }, nil, true, "only an older one, from " + day1},
		{"a newer one takes its place", func(t *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) {
			r.Unlist(a)
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: at(day3)}))
		}, nil, false, ""},
		{"a newer one by a stranger", func(t *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) {
			r.Unlist(a)
			other.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: at(day3)}))
		}, nil, true, "the registry no longer has it"},
		{"its key is removed", func(_ *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) { r.Unlist(a) }, signedOnly(other), false, ""},
		{"it is before min_created", func(_ *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) { r.Unlist(a) }, func(r *Rules) {
			signedOnly(ops)(r)
			r.Trust.MinCreated = time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
		}, false, ""},
		{"what the registry has now is asked for", func(t *testing.T, r *fakeregistry.Registry, a, _ ocispec.Descriptor) { older(t, r, a) }, func(r *Rules) {
			signedOnly(ops)(r)
			r.OnlyPresent = true
		}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
			r.Index("1", a, b)
			artifact := r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: at(day2)})
			ops.Sign3(t, r, artifact)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, signedOnly(ops), func(r *Rules) { r.ReferrersTTL = 0 })
			if d := decide(t, resolver, app); d.Candidates[d.Choice].Digest != b.Digest || d.Kept() != 0 {
				t.Fatalf("before: %s", d.Reason)
			}
			tt.change(t, r, a, artifact)
			if tt.rules != nil {
				change(resolver, tt.rules)
			}
			for range 2 { // what is used of an earlier pull is not forgotten by that
				d := explain(t, resolver, app)
				if got := d.Candidates[d.Choice].Digest == b.Digest; got != tt.counts {
					t.Errorf("it counts: %t; %s", got, d.Reason)
				}
				if !strings.Contains(d.Reason, tt.want) || (d.Kept() > 0) != (tt.want != "") {
					t.Errorf("%d kept: %s; want %q", d.Kept(), d.Reason, tt.want)
				}
			}
		})
	}
}

// TestWhatWasSeenSurvivesARestart as long as its state does.
func TestWhatWasSeenSurvivesARestart(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "p256")
	r := newTestRegistry(t)
	a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
	index := r.Index("1", a, b)
	r.Attach(a, trusttest.Carry(ops.State(t, a.Digest, day2, wantsAVX512), trust.PredicateCompatibility, day2))
	signature := ops.Sign2(t, r, index)
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, signedOnly(ops))
	if d := decide(t, resolver, app); d.Signer == nil {
		t.Fatal(d.Reason)
	}
	r.Unlist(a)
	for _, name := range []string{signature.Digest.String(), trust.SimpleTag(index.Digest)} {
		r.Remove("manifests/" + name)
	}
	again := NewResolver(resolver.Evaluator, resolver.registry)
	change(again, signedOnly(ops), func(r *Rules) { r.ReferrersTTL = 0 })
	r.Requests()
	d := explain(t, again, app)
	if d.Candidates[d.Choice].Digest != b.Digest || d.Kept() != 1 || d.Signer == nil {
		t.Errorf("%d kept, index signed by %v: %s", d.Kept(), d.Signer, d.Reason)
	}
	if asked := r.Requests(); slices.ContainsFunc(asked, func(request string) bool { return strings.HasSuffix(request, ".sig") }) {
		t.Errorf("a signature that was verified is asked for again: %v", asked)
	}
}

func TestMemoryThatIsDamagedCountsForNothing(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "ed25519")
	r := newTestRegistry(t)
	a := r.Image("linux/amd64", "a")
	r.Index("1", a)
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, signedOnly(ops))
	key := seenKey(RepositoryOf(app), a.Digest)
	if err := resolver.cache.PutReferrers(key, map[string]any{"artifacts": []any{map[string]any{"layer": digest.FromString("x")}}}); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, resolver, app); d.Choice == None || d.Kept() != 0 {
		t.Error(d.Reason)
	}
}
