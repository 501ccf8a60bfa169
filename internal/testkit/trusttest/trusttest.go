// Package trusttest makes keys and signatures for tests.
package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
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

// Carry makes the artifact that carries a bundle. predicate is what the bundle states.
func Carry(bundle []byte, predicate, created string) fakeregistry.Artifact {
	return fakeregistry.Artifact{
		Body: string(bundle), LayerType: trust.BundleType, ListedType: trust.BundleType,
		Annotations: map[string]string{
			trust.AnnotationPredicate: predicate, trust.AnnotationContent: trust.ContentDSSE, ocispec.AnnotationCreated: created,
		},
		Change: func(m *ocispec.Manifest) { m.ArtifactType = trust.BundleType },
	}
}

// Sign3 attaches a signature to a manifest as cosign 3 does.
func (s Signer) Sign3(t testing.TB, r *fakeregistry.Registry, of ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	return r.Attach(of, Carry(s.SignDigest(t, of.Digest), trust.PredicateSignature, "2026-01-01T00:00:00Z"))
}

// Sign2 signs a manifest as cosign up to 2 does, under a tag.
func (s Signer) Sign2(t testing.TB, r *fakeregistry.Registry, of ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"r.example/app"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, of.Digest)
	layer := r.Blob(trust.SimpleType, payload)
	layer.Annotations = map[string]string{trust.AnnotationSignature: base64.StdEncoding.EncodeToString(s.Sign(t, []byte(payload)))}
	return r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Config: r.Blob(ocispec.MediaTypeImageConfig, `{"architecture":""}`), Layers: []ocispec.Descriptor{layer},
	}, trust.SimpleTag(of.Digest))
}

// State makes the bundle that states what a manifest needs.
func (s Signer) State(t testing.TB, d digest.Digest, created, description string) []byte {
	t.Helper()
	at, err := time.Parse(time.RFC3339, created)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := trust.CompatibilityStatement(d, trust.Compatibility{
		ArtifactType: dialect.ArtifactType, MediaType: dialect.LayerTypeOutline, Created: at, Description: []byte(description),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Seal(t, statement)
}
