package sign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/trust"
)

func secret(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

func noSecret() ([]byte, error) { return nil, errors.New("no passphrase was given") }

func verify(t *testing.T, k Key) {
	t.Helper()
	d := digest.FromString("image")
	bundle, err := Digest(k, d)
	if err != nil {
		t.Fatal(err)
	}
	read, err := trust.ReadBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := read.VerifySignature(trust.Subject{Digest: d}, trust.NewAttempts([]trust.Key{k.Key})); err != nil || by.ID != k.ID {
		t.Errorf("by %q, %v", by.ID, err)
	}
}

func TestWhatAKeySignsItsPublicKeyVerifies(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		k, err := Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, k)
		for _, passphrase := range []string{"", "correct horse"} {
			if passphrase != "" && kind != Kinds()[0] {
				continue // which takes long
			}
			text, err := k.Encode([]byte(passphrase))
			if err != nil {
				t.Fatal(err)
			}
			asked := secret(passphrase)
			if passphrase == "" {
				asked = noSecret
			}
			again, err := Parse(text, asked)
			if err != nil || again.ID != k.ID {
				t.Errorf("%s: %v", kind, err)
			}
			if passphrase == "" {
				continue
			}
			if _, err := Parse(text, secret("wrong")); err == nil || !strings.Contains(err.Error(), "passphrase is wrong") {
				t.Errorf("%s: %v", kind, err)
			}
			if _, err := Parse(text, noSecret); err == nil {
				t.Error("a key without its passphrase is read")
			}
		}
	}
	if _, err := Generate("dsa"); err == nil {
		t.Error("a key of kind dsa is made")
	}
}

func TestKeysOfOtherTools(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecText, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	of, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []pem.Block{
		{Type: "EC PRIVATE KEY", Bytes: ecText}, {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(of)},
	} {
		k, err := Parse(pem.EncodeToMemory(&block), noSecret)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, k)
	}
}

func TestPrivateKeysThatAreNotRead(t *testing.T) {
	t.Parallel()
	sealedWith := func(change func(*sealed)) string {
		text, err := encrypt([]byte("x"), []byte("p"))
		if err != nil {
			t.Fatal(err)
		}
		var s sealed
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		change(&s)
		if text, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: encryptedTypes()[1], Bytes: text}))
	}
	for name, tt := range map[string]struct{ text, want string }{
		"not PEM":           {"x", "not one private key in PEM"},
		"a public key":      {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"})), "PEM block of type"},
		"too large":         {strings.Repeat("x", maxKeyFile+1), "at most"},
		"costly":            {sealedWith(func(s *sealed) { s.KDF.Params.N = 1 << 30 }), "beyond what is read"},
		"another cipher":    {sealedWith(func(s *sealed) { s.Cipher.Name = "rot13" }), `"rot13"`},
		"a short nonce":     {sealedWith(func(s *sealed) { s.Cipher.Nonce = nil }), "is encrypted with"},
		"not a private key": {sealedWith(func(*sealed) {}), "asn1"},
		"cut off":           {sealedWith(func(s *sealed) { s.Ciphertext = s.Ciphertext[:4] }), "passphrase is wrong"},
	} {
		if _, err := Parse([]byte(tt.text), secret("p")); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func FuzzPrivateKey(f *testing.F) {
	k, err := Generate("ed25519")
	if err != nil {
		f.Fatal(err)
	}
	text, err := k.Encode(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\ne30=\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = Parse(text, noSecret)
	})
}
