package decision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	day1, day2, day3 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"
	wantsAVX512      = `{"compatibilities": {"io.kubernetes.nfd": {` + avx512 + `}}}`
)

func at(created string) map[string]string {
	return map[string]string{ocispec.AnnotationCreated: created}
}

// signedOnly is the rule that only what the keys signed counts.
func signedOnly(keys ...trusttest.Signer) func(*Rules) {
	return func(r *Rules) {
		rule := trust.Rule{Signed: true}
		for _, k := range keys {
			rule.Keys = append(rule.Keys, k.Key)
		}
		r.Trust = &trust.Rules{Rule: rule}
	}
}

// trustCase attaches something to an index of two entries for one platform, a before b. A
// node lacks AVX512F, so that an artifact that counts keeps a from being chosen.
type trustCase struct {
	name    string
	attach  func(t *testing.T, r *fakeregistry.Registry, index, a, b ocispec.Descriptor)
	counts  bool
	ignored string // in the sentence
}

func unsignedCases(other trusttest.Signer) []trustCase {
	type reg = *fakeregistry.Registry
	type desc = ocispec.Descriptor
	return []trustCase{
		{"nothing", func(*testing.T, reg, desc, desc, desc) {}, false, ""},
		{"an unsigned artifact", func(_ *testing.T, r reg, _, a, _ desc) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
		}, false, "unsigned"},
		{"an unsigned artifact of the index", func(_ *testing.T, r reg, index, _, _ desc) {
			r.Attach(index, fakeregistry.Artifact{Attributes: avx512})
		}, false, "unsigned"},
		{"another key", func(t *testing.T, r reg, _, a, _ desc) {
			other.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx512}))
		}, false, "not signed by a trusted key"},
		{"an unsigned artifact that cannot be read", func(_ *testing.T, r reg, _, a, _ desc) {
			r.Attach(a, fakeregistry.Artifact{Body: "{"})
		}, false, "unsigned"},
		{"a list that is too long", func(_ *testing.T, r reg, _, a, _ desc) {
			for range 1001 {
				r.List(a, desc{MediaType: ocispec.MediaTypeImageManifest, Digest: a.Digest, Size: a.Size, ArtifactType: "application/x-sbom"})
			}
		}, false, "unsigned"},
		{"a statement by another key", func(t *testing.T, r reg, _, a, _ desc) {
			r.Attach(a, trusttest.Carry(other.State(t, a.Digest, day1, wantsAVX512), trust.PredicateCompatibility, day1))
		}, false, "not signed by a trusted key"},
	}
}

func signedCases(ops, other trusttest.Signer) []trustCase {
	type reg = *fakeregistry.Registry
	type desc = ocispec.Descriptor
	return []trustCase{
		{"a signed artifact", func(t *testing.T, r reg, _, a, _ desc) {
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx512}))
		}, true, ""},
		{"a signed artifact that the registry names no type of", func(t *testing.T, r reg, _, a, _ desc) {
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx512, ListedType: "none"}))
		}, true, ""},
		{"two signatures", func(t *testing.T, r reg, _, a, _ desc) {
			artifact := r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
			other.Sign3(t, r, artifact)
			ops.Sign3(t, r, artifact)
		}, true, ""},
		{"the signature of another artifact", func(t *testing.T, r reg, _, a, b desc) {
			signed := r.Attach(b, fakeregistry.Artifact{Attributes: avx2})
			ops.Sign3(t, r, signed)
			r.Attach(r.Attach(a, fakeregistry.Artifact{Attributes: avx512}), trusttest.Carry(ops.SignDigest(t, signed.Digest), trust.PredicateSignature, day1))
		}, false, "it is the signature of something else"},
		{"the signed artifact of another image, listed for this one", func(t *testing.T, r reg, _, a, _ desc) {
			signed := r.Attach(r.Image("linux/arm64", "other"), fakeregistry.Artifact{Attributes: avx2})
			ops.Sign3(t, r, signed)
			r.List(a, signed)
		}, false, "it is not about the manifest"},
		{"the signed artifact of another image, listed for this one and not readable", func(t *testing.T, r reg, _, a, _ desc) {
			signed := r.Attach(r.Image("linux/arm64", "other"), fakeregistry.Artifact{Attributes: avx2})
			ops.Sign3(t, r, signed)
			signed.Size++
			r.List(a, signed)
		}, false, "it is not about the manifest"},
		{"the signed statement about another image", func(t *testing.T, r reg, _, a, b desc) {
			r.Attach(a, trusttest.Carry(ops.State(t, b.Digest, day1, wantsAVX512), trust.PredicateCompatibility, day1))
		}, false, "it is not about the manifest"},
		{"something that was signed for another purpose", func(t *testing.T, r reg, _, a, _ desc) {
			artifact := r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
			r.Attach(artifact, trusttest.Carry(ops.State(t, artifact.Digest, day1, wantsAVX512), trust.PredicateSignature, day1))
		}, false, "it is a statement of type"},
		{"a newer unsigned artifact replaces nothing", func(t *testing.T, r reg, _, a, _ desc) {
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: at(day1)}))
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: at(day2)})
		}, true, "unsigned"},
		{"an unsigned artifact does not hide that of the index", func(t *testing.T, r reg, index, a, b desc) {
			ops.Sign3(t, r, r.Attach(index, fakeregistry.Artifact{Attributes: avx512}))
			ops.Sign3(t, r, r.Attach(b, fakeregistry.Artifact{Attributes: avx2}))
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2})
		}, true, "unsigned"},
		{"an older signed artifact", func(t *testing.T, r reg, _, a, _ desc) {
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: at(day1)}))
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: at(day2)}))
		}, true, ""},
		{"a signed statement", func(t *testing.T, r reg, _, a, _ desc) {
			r.Attach(a, trusttest.Carry(ops.State(t, a.Digest, day1, wantsAVX512), trust.PredicateCompatibility, day1))
		}, true, ""},
		{"a signed statement of the index", func(t *testing.T, r reg, index, _, b desc) {
			r.Attach(index, trusttest.Carry(ops.State(t, index.Digest, day1, wantsAVX512), trust.PredicateCompatibility, day1))
			ops.Sign3(t, r, r.Attach(b, fakeregistry.Artifact{Attributes: avx2}))
		}, true, ""},
		{"a signature behind many attestations", func(t *testing.T, r reg, _, a, _ desc) {
			artifact := r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
			ops.Sign3(t, r, artifact)
			for i := range 9 {
				r.Attach(artifact, trusttest.Carry([]byte(fmt.Sprintf(`{"scan": %d}`, i)), "https://cosign.sigstore.dev/attestation/vuln/v1", day3))
			}
		}, true, ""},
		{"a statement in a list that does not say so, beside an artifact", func(t *testing.T, r reg, _, a, b desc) {
			stated := trusttest.Carry(ops.State(t, a.Digest, day2, wantsAVX512), trust.PredicateCompatibility, day2)
			listed := r.Attach(r.Image("linux/arm64", "other"), stated) // stored
			manifest := r.Get(listed.Digest)
			manifest.Subject = &a
			listed = r.Manifest(manifest.MediaType, *manifest)
			listed.ArtifactType, listed.Annotations = trust.BundleType, nil // as cosign lists it under the referrers tag
			r.List(a, listed)
			ops.Sign3(t, r, r.Attach(b, fakeregistry.Artifact{Attributes: avx2}))
			ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{
				Attributes: avx2, LayerType: "application/vnd.oci.image.compatibility.v1+json", Annotations: at(day1),
			}))
		}, true, ""},
		{"an older statement in a newer manifest", func(t *testing.T, r reg, _, a, _ desc) {
			r.Attach(a, trusttest.Carry(ops.State(t, a.Digest, day2, wantsAVX512), trust.PredicateCompatibility, day2))
			met := strings.Replace(wantsAVX512, avx512, avx2, 1)
			r.Attach(a, trusttest.Carry(ops.State(t, a.Digest, day1, met), trust.PredicateCompatibility, day3))
		}, true, ""},
	}
}

func TestOnlySignedMetadataCountsWhereSignaturesAreNeeded(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "p256"), trusttest.New(t, "ed25519")
	for _, tt := range append(unsignedCases(other), signedCases(ops, other)...) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
			tt.attach(t, r, r.Index("1", a, b), a, b)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, signedOnly(ops))
			d := explain(t, resolver, app)
			if got := d.Candidates[d.Choice].Digest == b.Digest; got != tt.counts && tt.name != "the signature of another artifact" {
				t.Errorf("b is chosen: %t; %s", got, d.Reason)
			}
			if got := slices.Contains(d.Cases, policy.UnsignedMetadata()); got != (tt.ignored != "") {
				t.Errorf("cases %v", d.Cases)
			}
			if signed := slices.Equal(d.SignedBy(), []string{ops.Name}); tt.counts && !signed {
				t.Errorf("signed by %v", d.SignedBy())
			}
			if tt.ignored != "" && !strings.Contains(d.Reason, "ignored (trust.metadata): "+tt.ignored) || tt.ignored == "" && d.Ignored() > 0 {
				t.Errorf("%d ignored: %s", d.Ignored(), d.Reason)
			}
			for _, c := range d.Candidates {
				if c.Outcome.String() == "unknown" {
					t.Errorf("%s: what is ignored makes it unknown", d.Label(0))
				}
			}
		})
	}
}

func TestWithoutTheRuleNoSignatureIsLookedFor(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "p256")
	r := newTestRegistry(t)
	a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
	index := r.Index("1", a, b)
	artifact := r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
	ops.Sign3(t, r, artifact)
	ops.Sign3(t, r, index)
	r.Attach(b, trusttest.Carry(ops.State(t, b.Digest, day1, strings.Replace(wantsAVX512, avx512, avx2, 1)), trust.PredicateCompatibility, day1))
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	d := explain(t, resolver, app)
	if d.Candidates[d.Choice].Digest != b.Digest || len(d.Candidates[1].Requirements) == 0 || len(d.Cases) != 0 || d.SignedBy() != nil {
		t.Errorf("%s, cases %v, signed by %v", d.Reason, d.Cases, d.SignedBy())
	}
	for _, request := range r.Requests() {
		if strings.Contains(request, "referrers/"+artifact.Digest.String()) || strings.HasSuffix(request, ".sig") {
			t.Errorf("it was asked for a signature: %s", request)
		}
	}
}

// TestARemovedKeyUndoesWhatItSigned also where a decision, or an image for admission, was
// kept before.
func TestARemovedKeyUndoesWhatItSigned(t *testing.T) {
	t.Parallel()
	ops, team := trusttest.New(t, "p256"), trusttest.New(t, "ed25519")
	r := newTestRegistry(t)
	a := r.Image("linux/amd64", "a")
	r.Index("1", a)
	ops.Sign3(t, r, r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: at(day2)}))
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	id := fakeregistry.ImageID("linux/amd64", "a")
	const fits, unfit = "fits", "does not fit"
	for i, step := range []struct {
		rules   func(*Rules)
		want    string
		pull    bool // the image is pulled once more
		ignored int
	}{
		{signedOnly(ops, team), unfit, true, 0},
		{signedOnly(team), fits, false, 1},
		{signedOnly(ops), unfit, false, 0},
		{func(r *Rules) {
			signedOnly(ops)(r)
			r.Trust.MinCreated = time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
		}, fits, false, 1},
		{signedOnly(), fits, true, 1},
		{func(r *Rules) { r.Trust = nil }, unfit, true, 0},
		{signedOnly(ops), fits, false, 1}, // its signature was not read when it was pulled
		{signedOnly(ops), unfit, true, 0},
	} {
		change(resolver, step.rules)
		d := decide(t, resolver, app)
		if step.pull {
			if err := resolver.Remember(id, d, 0); err != nil {
				t.Fatal(err)
			}
		}
		v, err := recall(resolver, id, app)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Outcome.String(); got != step.want || v.Ignored != step.ignored {
			t.Errorf("step %d: kept for admission: %s, %d ignored", i, got, v.Ignored)
		}
		if step.pull && d.Candidates[0].Outcome.String() != step.want {
			t.Errorf("step %d: pulled: %s", i, d.Reason)
		}
	}
}

func TestWhatTheIndexStatesCountsWhereTheIndexIsSigned(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "p256"), trusttest.New(t, "p384")
	for name, tt := range map[string]struct {
		sign   func(t *testing.T, r *fakeregistry.Registry, index ocispec.Descriptor)
		counts bool
	}{
		"unsigned":                {func(*testing.T, *fakeregistry.Registry, ocispec.Descriptor) {}, false},
		"cosign 3":                {func(t *testing.T, r *fakeregistry.Registry, index ocispec.Descriptor) { ops.Sign3(t, r, index) }, true},
		"cosign 2":                {func(t *testing.T, r *fakeregistry.Registry, index ocispec.Descriptor) { ops.Sign2(t, r, index) }, true},
		"cosign 2 by another key": {func(t *testing.T, r *fakeregistry.Registry, index ocispec.Descriptor) { other.Sign2(t, r, index) }, false},
		"both, one by another key": {func(t *testing.T, r *fakeregistry.Registry, index ocispec.Descriptor) {
			other.Sign3(t, r, index)
			ops.Sign2(t, r, index)
		}, true},
		"the signature of another index under its tag": {func(t *testing.T, r *fakeregistry.Registry, index ocispec.Descriptor) {
			signature := ops.Sign2(t, r, r.Image("linux/arm64", "other"))
			body, _ := r.Content(signature.Digest.String())
			r.Serve("manifests/"+trust.SimpleTag(index.Digest), ocispec.MediaTypeImageManifest, body)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
			text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[`+
				`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"amd64","compatibilities":{"io.kubernetes.nfd":{`+avx512+`}}}},`+
				`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"amd64"}}]}`,
				ocispec.MediaTypeImageIndex, a.MediaType, a.Digest, a.Size, b.MediaType, b.Digest, b.Size)
			index := r.Manifest(ocispec.MediaTypeImageIndex, []byte(text), "1")
			tt.sign(t, r, index)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, signedOnly(ops))
			d := explain(t, resolver, app)
			if got := d.Candidates[d.Choice].Digest == b.Digest; got != tt.counts {
				t.Errorf("it counts: %t; %s", got, d.Reason)
			}
			if ignored := d.Ignored() > 0; ignored == tt.counts {
				t.Errorf("ignored %t: %s", ignored, d.Reason)
			}
		})
	}
}

// TestASignatureCostsNoRoundTrip counts the requests that must wait for others: a statement
// takes none more than an artifact, a signature of an artifact one.
func TestSignaturesAreReadBesideWhatTheySign(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "ed25519")
	r := newTestRegistry(t)
	a := r.Image("linux/amd64", "a")
	r.Index("1", a)
	artifact := r.Attach(a, fakeregistry.Artifact{Attributes: avx2})
	bundle := ops.Sign3(t, r, artifact)
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, signedOnly(ops))
	if d := decide(t, resolver, app); len(d.SignedBy()) != 1 {
		t.Fatal(d.Reason)
	}
	requests := r.Requests()
	for _, once := range []string{
		"GET referrers/" + artifact.Digest.String(), "GET manifests/" + bundle.Digest.String(), "GET manifests/" + artifact.Digest.String(),
	} {
		if n := len(slices.DeleteFunc(slices.Clone(requests), func(got string) bool { return got != once })); n != 1 {
			t.Errorf("%d times %s in\n%s", n, once, strings.Join(requests, "\n"))
		}
	}
	decide(t, resolver, app)
	if again := r.Requests(); len(again) != 1 {
		t.Errorf("a pull of what is known asks %v", again)
	}
}

func TestPolicyWhereNothingIsSigned(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "ed25519")
	r := newTestRegistry(t)
	a := r.Image("linux/amd64", "a")
	r.Index("1", a)
	r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, signedOnly(ops))
	d := decide(t, resolver, app)
	for answer, want := range map[string]struct {
		action policy.Action
		code   policy.Reason
	}{
		policy.Select:  {policy.Pulled, policy.OneCandidate},
		policy.Forward: {policy.Forwarded, policy.UnsignedOnly},
		policy.Refuse:  {policy.Refused, policy.UnsignedOnly},
	} {
		answers := policy.Default().Answers
		answers.NoArtifact = answer
		action, code, reason := d.Action(answers)
		if action != want.action || code != want.code || !strings.Contains(reason, "ignored (trust.metadata): unsigned") {
			t.Errorf("no_artifact %s: %s, %s: %s", answer, action, code, reason)
		}
	}
}

func TestNeedsKeepWhoSigned(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "ed25519")
	r := newTestRegistry(t)
	a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
	ops.Sign3(t, r, r.Index("1", a, b))
	r.Attach(a, trusttest.Carry(ops.State(t, a.Digest, day1, wantsAVX512), trust.PredicateCompatibility, day1))
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, signedOnly(ops))
	rules := resolver.rules()
	n, err := resolver.Gather(t.Context(), GatherRequest{Reference: app, Rules: rules})
	if err != nil || n.Signer == nil || n.Signer.Name != ops.Name {
		t.Fatalf("%+v, %v", n, err)
	}
	var signers []*referrers.Signer
	for artifact := range n.Artifacts() {
		signers = append(signers, artifact.Signer)
	}
	if len(signers) != 1 || signers[0] == nil || signers[0].Created.Format(time.RFC3339) != day1 {
		t.Errorf("signers %+v", signers)
	}
	for _, keys := range [][]trusttest.Signer{{ops}, nil} {
		change(resolver, signedOnly(keys...))
		d, err := resolver.Evaluate(t.Context(), n, resolver.Snapshot(), true)
		if err != nil || (d.Candidates[d.Choice].Digest == b.Digest) != (keys != nil) {
			t.Errorf("with %d keys: %+v, %v", len(keys), d, err)
		}
	}
}
