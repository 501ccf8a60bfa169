package trust_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/trust"
)

func madeByCosign(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "cosign", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestBundlesOfCosign reads what cosign itself made: see testdata/cosign/README.md.
func TestBundlesOfCosign(t *testing.T) {
	t.Parallel()
	keys, err := trust.ParseKeys("cosign.pub", madeByCosign(t, "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	index := digest.FromBytes(madeByCosign(t, "index.json"))
	other := []trust.Key{trusttest.New(t, "p256").Key}

	signature, err := trust.ReadBundle(madeByCosign(t, "sign.json"))
	if err != nil {
		t.Fatal(err)
	}
	if by, err := signature.VerifySignature(trust.Subject{Digest: index}, trust.NewAttempts(keys)); err != nil || by.Name != "cosign.pub" {
		t.Errorf("signed by %q, %v", by.Name, err)
	}
	if by, err := signature.VerifySignature(trust.Subject{Digest: index}, trust.NewAttempts(other)); err == nil {
		t.Errorf("signed by %q", by.Name)
	}
	if by, err := signature.VerifySignature(trust.Subject{Digest: digest.FromString("x")}, trust.NewAttempts(keys)); err == nil {
		t.Errorf("another subject is signed by %q", by.Name)
	}

	attestation, err := trust.ReadBundle(madeByCosign(t, "attest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if by, err := attestation.VerifyEnvelope(trust.NewAttempts(keys)); err != nil || by.Name != "cosign.pub" {
		t.Errorf("attested by %q, %v", by.Name, err)
	}
	s, err := attestation.Statement()
	if err != nil || !s.IsAbout(index) {
		t.Fatalf("%+v, %v", s, err)
	}
	c, err := s.Compatibility()
	if want := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC); err != nil || !c.Created.Equal(want) ||
		string(c.Description) != `{"compatibilities":{"io.kubernetes.nfd":{"cpu-cpuid.AVX2":true}}}` {
		t.Errorf("%+v, %v", c, err)
	}
}
