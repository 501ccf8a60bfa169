// Package trusttest makes keys and signatures for tests.
package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/trust"
)

// Signer is a private key that tests sign with.
type Signer struct {
	trust.Key
	Hash    crypto.Hash // 0 for Ed25519
	Options crypto.SignerOpts
	private crypto.Signer
}

// Kinds are the kinds of keys and of their signatures.
func Kinds() []string {
	return []string{"ed25519", "ed25519ph", "p256", "p384", "p384 with sha256", "rsa-pss", "rsa-pkcs1"}
}

// New makes a key of a kind.
func New(t testing.TB, kind string) Signer {
	t.Helper()
	var s Signer
	var err error
	switch kind {
	case "ed25519":
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
		s.Options = crypto.Hash(0)
	case "ed25519ph":
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
		s.Hash = crypto.SHA512
		s.Options = &ed25519.Options{Hash: crypto.SHA512}
	case "p256":
		s.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		s.Hash = crypto.SHA256
	case "p384":
		s.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		s.Hash = crypto.SHA384
	case "p384 with sha256":
		s.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		s.Hash = crypto.SHA256
	case "rsa-pss":
		s.private, err = rsa.GenerateKey(rand.Reader, 2048)
		s.Hash, s.Options = crypto.SHA256, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	case "rsa-pkcs1":
		s.private, err = rsa.GenerateKey(rand.Reader, 2048)
		s.Hash = crypto.SHA256
	default:
		t.Fatalf("kind of key %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Options == nil {
		s.Options = s.Hash
	}
	if s.Key, err = trust.NewKey(kind+".pub", s.private.Public()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Sign signs a message.
func (s Signer) Sign(t testing.TB, message []byte) []byte {
	t.Helper()
	if s.Hash != 0 {
		h := s.Hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	signature, err := s.private.Sign(rand.Reader, message, s.Options)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// Seal makes a bundle of a statement.
func (s Signer) Seal(t testing.TB, statement []byte) []byte {
	t.Helper()
	bundle, err := trust.Seal(statement, s.Sign(t, trust.Preauth(statement)), "")
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// SignDigest makes the bundle that signs a manifest.
func (s Signer) SignDigest(t testing.TB, d digest.Digest) []byte {
	t.Helper()
	statement, err := trust.SignatureStatement(d)
	if err != nil {
		t.Fatal(err)
	}
	return s.Seal(t, statement)
}
