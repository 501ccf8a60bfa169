package trust

import (
	"crypto/sha256"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxVerified bounds the signatures that are known to be good.
const maxVerified = 4096

// Verified are signatures that were verified before, so that each is paid for once. Only
// good ones are kept: a stranger cannot make those. Goroutines may share it.
type Verified struct {
	known *lru.Cache[[sha256.Size]byte, struct{}]
}

// NewVerified returns Verified that knows nothing yet.
func NewVerified() *Verified {
	known, _ := lru.New[[sha256.Size]byte, struct{}](maxVerified) // fails for sizes below 1 only
	return &Verified{known}
}

// signing is one signature of a message, by its hash, by one key.
func signing(key Key, hash [sha256.Size]byte, signature []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat([]byte(key.ID), hash[:], signature)) // of fixed length, but the last
}

func (v *Verified) has(s [sha256.Size]byte) bool { return v != nil && v.known.Contains(s) }

func (v *Verified) add(s [sha256.Size]byte) {
	if v != nil {
		v.known.Add(s, struct{}{})
	}
}
