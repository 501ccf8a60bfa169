package sign

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// Parameters of scrypt: those that cosign writes, and the memory that a file may ask for,
// which is 128 * N * r bytes.
const (
	scryptN, scryptR, scryptP = 65536, 8, 1
	maxScryptN, maxScryptRP   = 1 << 18, 16

	saltSize, nonceSize, keySize = 32, 24, 32
)

// sealed is an encrypted private key, in the shape of cosign's.
type sealed struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N int `json:"N"`
			R int `json:"r"`
			P int `json:"p"`
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

const (
	kdfName    = "scrypt"
	cipherName = "nacl/secretbox"
)

func encrypt(plain, passphrase []byte) ([]byte, error) {
	var s sealed
	s.KDF.Name, s.KDF.Params.N, s.KDF.Params.R, s.KDF.Params.P = kdfName, scryptN, scryptR, scryptP
	s.KDF.Salt, s.Cipher.Name, s.Cipher.Nonce = make([]byte, saltSize), cipherName, make([]byte, nonceSize)
	for _, random := range [][]byte{s.KDF.Salt, s.Cipher.Nonce} {
		if _, err := rand.Read(random); err != nil {
			return nil, fmt.Errorf("encrypt private key: %w", err)
		}
	}
	key, err := s.key(passphrase)
	if err != nil {
		return nil, err
	}
	s.Ciphertext = secretbox.Seal(nil, plain, (*[nonceSize]byte)(s.Cipher.Nonce), key)
	return json.Marshal(s)
}

func decrypt(text, passphrase []byte) ([]byte, error) {
	var s sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read encrypted private key: %w", err)
	}
	if s.KDF.Name != kdfName || s.Cipher.Name != cipherName || len(s.Cipher.Nonce) != nonceSize {
		return nil, fmt.Errorf("the private key is encrypted with %.40q and %.40q, only %s and %s are read", s.KDF.Name, s.Cipher.Name, kdfName, cipherName)
	}
	key, err := s.key(passphrase)
	if err != nil {
		return nil, err
	}
	plain, ok := secretbox.Open(nil, s.Ciphertext, (*[nonceSize]byte)(s.Cipher.Nonce), key)
	if !ok {
		return nil, errors.New("the passphrase is wrong, or the file is damaged")
	}
	return plain, nil
}

func (s sealed) key(passphrase []byte) (*[keySize]byte, error) {
	p := s.KDF.Params
	if p.N < 2 || p.N > maxScryptN || p.R < 1 || p.R > maxScryptRP || p.P < 1 || p.P > maxScryptRP {
		return nil, fmt.Errorf("the private key is encrypted with scrypt parameters (N %d, r %d, p %d) beyond what is read", p.N, p.R, p.P)
	}
	key, err := scrypt.Key(passphrase, s.KDF.Salt, p.N, p.R, p.P, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key from passphrase: %w", err)
	}
	return (*[keySize]byte)(key), nil
}
