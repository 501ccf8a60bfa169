package catalogtest

import (
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/trust"
)

// SignedAt is when artifacts of FillSigned were made; what is newer replaces them.
const (
	SignedAt = "2026-01-01T00:00:00Z"
	newer    = "2026-01-02T00:00:00Z"
)

// FillSigned puts images into a registry that a key signed in part:
//
//	signed/artifact:1   AVX2, signed; a newer one for AVX-512 is not
//	signed/bundle:1     AVX2 by a statement for the index
//	signed/index:1      the index, as cosign 3 does; what is attached is not
//	signed/old:1        the index, as cosign 2 does; its own artifact, too
//	signed/none:1       AVX2, unsigned
//
// It returns the artifact of signed/none:1.
func FillSigned(t testing.TB, r *fakeregistry.Registry, by trusttest.Signer) (unsigned ocispec.Descriptor) {
	t.Helper()
	made := func(at, groups string) fakeregistry.Artifact {
		return fakeregistry.Artifact{Body: F(groups), Annotations: map[string]string{ocispec.AnnotationCreated: at}}
	}
	both := func(repository string) (in *fakeregistry.Registry, index, image ocispec.Descriptor) {
		in = r.In(repository)
		image = in.Image("linux/amd64", repository)
		return in, in.Index("1", image, in.Image("linux/arm64", repository)), image
	}
	in, _, image := both("signed/artifact")
	by.Sign3(t, in, in.Attach(image, made(SignedAt, NeedsAVX2)))
	in.Attach(image, made(newer, NeedsAVX512))
	in, index, _ := both("signed/bundle")
	in.Attach(index, trusttest.Carry(by.State(t, index.Digest, SignedAt, F(NeedsAVX2)), trust.PredicateCompatibility, SignedAt))
	in, index, image = both("signed/index")
	in.Attach(image, made(SignedAt, NeedsAVX512))
	by.Sign3(t, in, index)
	in, index, _ = both("signed/old")
	by.Sign2(t, in, index)
	by.Sign3(t, in, in.Attach(index, made(SignedAt, NeedsAVX2)))
	in, _, image = both("signed/none")
	return in.Attach(image, made(SignedAt, NeedsAVX2))
}

// TrustIn wants signatures by keys.
func TrustIn(keys ...trusttest.Signer) *trust.Rules {
	rule := trust.Rule{Signed: true}
	for _, key := range keys {
		rule.Keys = append(rule.Keys, key.Key)
	}
	return &trust.Rules{Rule: rule}
}

// signers finds out who signed what, when a signature comes later, and without the key.
func signers(t *testing.T, open Opener) {
	ops, other := trusttest.New(t, "p256"), trusttest.New(t, "ed25519")
	reg, clock := fakeregistry.New(t, fakeregistry.Options{}), NewClock()
	unsigned := FillSigned(t, reg, ops)
	c, _ := open(t, clock.Now)
	Add(t, c, reg.Host()+"/signed")
	s := Syncer(t, c)
	ask := func(questions ...[2]string) {
		t.Helper()
		for _, q := range questions {
			if got := strings.ReplaceAll(Answer(t, c, reg.Host(), q[0]), "signed/", ""); got != q[1] {
				t.Errorf("%s:\n got %s\nwant %s", q[0], got, q[1])
			}
		}
	}
	Sync(t, s)
	ask([2]string{"signed", ""}, [2]string{"image_signer = p256.pub", ""})
	s.Trust = TrustIn(ops, other)
	if unknown, err := c.UnknownKeys(t.Context(), s.Trust); err != nil || strings.Join(unknown, " ") != "ed25519.pub p256.pub" {
		t.Errorf("keys that no sync had: %v %v", unknown, err)
	}
	Sync(t, s) // another key: everything is looked at again
	const signed = "artifact:1 amd64, bundle:1 amd64, bundle:1 arm64, old:1 amd64, old:1 arm64"
	ask([2]string{"signed", signed}, [2]string{"signer = p256.pub", signed}, [2]string{"signer ~ ed*", ""},
		[2]string{"image_signer = p256.pub", "index:1 amd64, index:1 arm64, old:1 amd64, old:1 arm64"},
		[2]string{"artifacts > 0 and not signed", "index:1 amd64, none:1 amd64"},
		[2]string{"requires cpu.cpuid.AVX512F", "artifact:1 amd64, index:1 amd64"}) // whoever signed it
	if unknown, err := c.UnknownKeys(t.Context(), s.Trust); err != nil || len(unknown) > 0 {
		t.Errorf("keys that no sync had: %v %v", unknown, err)
	}
	reg.Forget()
	Sync(t, s)
	for _, r := range reg.Requests() {
		if strings.Contains(r, "referrers/") || strings.Contains(r, ".sig") {
			t.Errorf("asked again within the TTL: %s", r)
		}
	}
	begin := clock.Now()
	clock.Add(2 * time.Hour)
	other.Sign3(t, reg.In("signed/none"), unsigned) // the list of the image stays as it is
	Sync(t, s)
	ask([2]string{"signer = ed25519.pub", "none:1 amd64"}, [2]string{"artifacts > 0 and not signed", "index:1 amd64"})
	changes, err := c.Changes(t.Context(), begin, clock.Now())
	if err != nil || len(changes) != 1 || changes[0].What != "artifact signed" || changes[0].After != unsigned.Digest {
		t.Errorf("changes: %+v %v", changes, err)
	}
	s.Trust = TrustIn(ops)
	Sync(t, s)
	ask([2]string{"signer = ed25519.pub", ""}, [2]string{"signed", signed})
	shown, err := c.Show(t.Context(), reg.Host()+"/signed/old:1")
	if err != nil || shown.Signer != "p256.pub" || len(shown.Artifacts) != 1 || shown.Artifacts[0].Signer != "p256.pub" {
		t.Errorf("show: %+v %v", shown, err)
	}
}
