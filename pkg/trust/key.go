package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // crypto.SHA384 and crypto.SHA512
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxKeyFile bounds the size of a file of public keys.
	MaxKeyFile = 64 << 10
	// maxKeysPerFile bounds the keys in one file.
	maxKeysPerFile = 16
	// minRSA and maxRSA bound the length of RSA keys, in bits.
	minRSA, maxRSA = 2048, 8192
)

// Key is a public key that the operator trusts.
type Key struct {
	Name   string // of its file
	ID     string // SHA-256 of the key, in hex
	public crypto.PublicKey
}

// ParseKeys reads public keys in PEM. A file with several keys names them by their
// position, such as ops.pub#2.
func ParseKeys(name string, text []byte) ([]Key, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(text), MaxKeyFile)
	}
	var keys []Key
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if len(keys) == maxKeysPerFile {
			return nil, fmt.Errorf("it has more than %d keys", maxKeysPerFile)
		}
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, errors.New("it is not a public key in PEM (-----BEGIN PUBLIC KEY-----)")
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("its PEM block is damaged")
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		if key.Name = name; len(keys) > 0 {
			key.Name = fmt.Sprintf("%s#%d", name, len(keys)+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it is empty")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (Key, error) {
	switch {
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return Key{}, errors.New("it is a private key: keep it away from nodes, and put the public key here")
	case block.Type != "PUBLIC KEY":
		return Key{}, fmt.Errorf("it is a PEM block of type %.40q, expected PUBLIC KEY", block.Type)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("read public key: %w", err)
	}
	return NewKey("", public)
}

// NewKey returns the key for a public key of a supported kind.
func NewKey(name string, public crypto.PublicKey) (Key, error) {
	switch p := public.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() && p.Curve != elliptic.P384() {
			return Key{}, fmt.Errorf("the curve %s is not supported, only P-256 and P-384 are", p.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSA || bits > maxRSA {
			return Key{}, fmt.Errorf("an RSA key of %d bits is not supported, only %d to %d are", bits, minRSA, maxRSA)
		}
	default:
		return Key{}, fmt.Errorf("a key of type %T is not supported, only Ed25519, ECDSA and RSA are", public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Key{Name: name, ID: hex.EncodeToString(sum[:]), public: public}, nil
}

// PEM is the public key as it is written in a file.
func (k Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// verifies reports whether the key signed a message. The algorithm is that of the key;
// nothing that comes with the signature chooses it.
func (k Key) verifies(message, signature []byte) bool {
	switch p := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, signature) || // as in DSSE
			ed25519.VerifyWithOptions(p, sum(crypto.SHA512, message), signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	case *ecdsa.PublicKey:
		// cosign hashes with SHA-256 whatever the curve.
		return ecdsa.VerifyASN1(p, sum(crypto.SHA256, message), signature) ||
			p.Curve == elliptic.P384() && ecdsa.VerifyASN1(p, sum(crypto.SHA384, message), signature)
	case *rsa.PublicKey:
		hashed := sum(crypto.SHA256, message)
		return rsa.VerifyPSS(p, crypto.SHA256, hashed, signature, nil) == nil ||
			rsa.VerifyPKCS1v15(p, crypto.SHA256, hashed, signature) == nil // as cosign signs with RSA keys
	}
	return false
}

func sum(hash crypto.Hash, message []byte) []byte {
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}
