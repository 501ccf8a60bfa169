package sign

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/pkg/trust"
)

// TestAKeyOfCosign reads a key that cosign v3.1.3 made (generate-key-pair).
func TestAKeyOfCosign(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "cosign.key"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := Parse(text, secret("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	verify(t, k)
	public, err := os.ReadFile(filepath.Join("..", "..", "trust", "testdata", "cosign", "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := trust.ParseKeys("cosign.pub", public)
	if err != nil || keys[0].ID != k.ID {
		t.Errorf("its public key is %v, %v; want %s", keys, err, k.ID)
	}
	if _, err := Parse(text, secret("wrong")); err == nil {
		t.Error("it is read with a wrong passphrase")
	}
}

// TestP384IsSignedAsCosignVerifies: cosign v3.1.3 hashes with SHA-256 for every key that it
// is given in a file, and accepts nothing else.
func TestP384IsSignedAsCosignVerifies(t *testing.T) {
	t.Parallel()
	k, err := Generate("ecdsa-p384")
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("message"))
	if !ecdsa.VerifyASN1(k.private.Public().(*ecdsa.PublicKey), hash[:], signature) {
		t.Error("it is not the signature of the SHA-256 hash")
	}
}
