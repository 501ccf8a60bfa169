package trust

import (
	"errors"
	"sync/atomic"
)

// MaxAttempts bounds the signatures that are compared with keys for one image: about
// 20 ms of a CPU with ECDSA P-256.
const MaxAttempts = 256

// ErrUnverified is matched where no trusted key made any of the signatures.
var ErrUnverified = errors.New("not signed by a trusted key")

// errExhausted is why a signature is not looked at.
var errExhausted = errors.New("the image has more signatures than are verified")

// Attempts are the keys to try, and how often that may be done. Goroutines may share it.
type Attempts struct {
	keys []Key
	left *atomic.Int64
}

// NewAttempts returns Attempts with keys.
func NewAttempts(keys []Key) *Attempts {
	a := &Attempts{keys: keys, left: new(atomic.Int64)}
	a.left.Store(MaxAttempts)
	return a
}

// any returns the first key that made one of the signatures of a message.
func (a *Attempts) any(message []byte, signatures ...[]byte) (Key, error) {
	for _, signature := range signatures {
		for _, key := range a.keys {
			if a.left.Add(-1) < 0 {
				return Key{}, errExhausted
			}
			if key.verifies(message, signature) {
				return key, nil
			}
		}
	}
	return Key{}, ErrUnverified
}
