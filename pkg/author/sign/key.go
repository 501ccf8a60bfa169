package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/trust"
)

// maxKeyFile bounds the size of a file with a private key.
const maxKeyFile = 64 << 10

// Signer signs messages.
type Signer interface {
	Sign(message []byte) (signature []byte, err error)
	// Hint helps others to find the public key; it may be empty.
	Hint() string
}

// Key is a private key.
type Key struct {
	trust.Key
	private crypto.Signer
}

// Kinds are the kinds of keys that Generate makes; the first is cosign's.
func Kinds() []string { return []string{"ecdsa-p256", "ecdsa-p384", "ed25519"} }

// Generate makes a key of a kind.
func Generate(kind string) (Key, error) {
	var private crypto.Signer
	var err error
	switch kind {
	case "ecdsa-p256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("no key is of kind %q, only of %v", kind, Kinds())
	}
	if err != nil {
		return Key{}, fmt.Errorf("make key: %w", err)
	}
	return newKey(private)
}

func newKey(private crypto.Signer) (Key, error) {
	public, err := trust.NewKey("", private.Public())
	return Key{public, private}, err
}

// Encode is the private key in PEM, encrypted as cosign does it. Without a passphrase it is
// plain.
func (k Key) Encode(passphrase []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	if len(passphrase) == 0 {
		return pem.EncodeToMemory(&pem.Block{Type: plainType, Bytes: der}), nil
	}
	sealed, err := encrypt(der, passphrase)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: encryptedTypes()[0], Bytes: sealed}), nil
}

// plainType is the type of a PEM block with a private key that is not encrypted, and
// encryptedTypes are those of cosign, the newest first.
const plainType = "PRIVATE KEY"

func encryptedTypes() []string {
	return []string{"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"}
}

// Parse reads a private key. passphrase is called where it is encrypted.
func Parse(text []byte, passphrase func() ([]byte, error)) (Key, error) {
	if len(text) > maxKeyFile {
		return Key{}, fmt.Errorf("it has %d bytes, at most %d are read", len(text), maxKeyFile)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, errors.New("it is not one private key in PEM")
	}
	der := block.Bytes
	if slices.Contains(encryptedTypes(), block.Type) {
		secret, err := passphrase()
		if err != nil {
			return Key{}, err
		}
		if der, err = decrypt(block.Bytes, secret); err != nil {
			return Key{}, err
		}
	}
	private, err := parsePrivate(block.Type, der)
	if err != nil {
		return Key{}, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("a key of type %T cannot sign", private)
	}
	return newKey(signer)
}

func parsePrivate(kind string, der []byte) (any, error) {
	switch {
	case kind == plainType, slices.Contains(encryptedTypes(), kind):
		return x509.ParsePKCS8PrivateKey(der)
	case kind == "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(der)
	case kind == "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(der)
	}
	return nil, fmt.Errorf("it is a PEM block of type %.40q, expected %s or %s", kind, encryptedTypes()[0], plainType)
}

// Sign implements Signer. The algorithms are those by which cosign verifies: SHA-256 for
// every curve, and PKCS #1 v1.5 for RSA keys.
func (k Key) Sign(message []byte) ([]byte, error) {
	if _, ok := k.private.Public().(ed25519.PublicKey); ok {
		return k.private.Sign(rand.Reader, message, crypto.Hash(0))
	}
	hash := sha256.Sum256(message)
	return k.private.Sign(rand.Reader, hash[:], crypto.SHA256)
}

// Hint implements Signer as cosign does.
func (k Key) Hint() string {
	text, err := k.PEM()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Digest makes the bundle that signs a manifest or an index.
func Digest(by Signer, d digest.Digest) ([]byte, error) {
	statement, err := trust.SignatureStatement(d)
	if err != nil {
		return nil, err
	}
	return seal(by, statement)
}

// Description makes the bundle that states what a manifest needs.
func Description(by Signer, d digest.Digest, c trust.Compatibility) ([]byte, error) {
	statement, err := trust.CompatibilityStatement(d, c)
	if err != nil {
		return nil, err
	}
	return seal(by, statement)
}

func seal(by Signer, statement []byte) ([]byte, error) {
	signature, err := by.Sign(trust.Preauth(statement))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return trust.Seal(statement, signature, by.Hint())
}
