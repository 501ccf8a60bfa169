package trust

import (
	"crypto/sha256"
	"errors"
	"sync/atomic"
)

// MaxAttempts bounds the signatures that are compared with keys for one image: about
// 20 ms of a CPU with ECDSA P-256.
const MaxAttempts = 256

// perAttempt is how much of a message one comparison pays for. A bundle of the largest
// size costs as much as 64 small ones.
const perAttempt = 32 << 10

// ErrUnverified is matched where no trusted key made any of the signatures.
var ErrUnverified = errors.New("not signed by a trusted key")

// errExhausted is why a signature is not looked at.
var errExhausted = errors.New("the image has more signatures than are verified")

// Attempts are the keys to try, and how often that may be done. Goroutines may share it.
type Attempts struct {
	keys  []Key
	known *Verified // or nil
	left  *atomic.Int64
}

// NewAttempts returns Attempts with keys.
func NewAttempts(keys []Key) *Attempts {
	a := &Attempts{keys: keys, left: new(atomic.Int64)}
	a.left.Store(MaxAttempts)
	return a
}

// Knowing makes what was verified before cost nothing.
func (a *Attempts) Knowing(v *Verified) *Attempts {
	a.known = v
	return a
}

// cost is how often a message may be compared less for its size: each time it is hashed.
func cost(message []byte) int64 { return 1 + int64(len(message))/perAttempt }

// any returns the first key that made one of the signatures of a message.
func (a *Attempts) any(message []byte, signatures ...[]byte) (Key, error) {
	hash := sha256.Sum256(message)
	for _, signature := range signatures {
		for _, key := range a.keys {
			this := signing(key, hash, signature)
			if a.known.has(this) {
				return key, nil
			}
			if a.left.Add(-cost(message)) < 0 {
				return Key{}, errExhausted
			}
			if key.verifies(message, signature) {
				a.known.add(this)
				return key, nil
			}
		}
	}
	return Key{}, ErrUnverified
}
