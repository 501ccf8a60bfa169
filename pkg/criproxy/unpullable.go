package criproxy

import (
	"crypto/sha256"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/imagefit/imagefit/pkg/decision"
)

const (
	// maxUnpullable bounds the variants that are remembered.
	maxUnpullable = 1024
	// retryAfter is when a variant that could not be pulled is tried again.
	retryAfter = 10 * time.Minute
)

// unpullable remembers variants that could not be pulled while another variant of the
// same image could, so that not every pull pays for that. A reload of the configuration
// makes new rules, under which nothing of it applies.
type unpullable struct {
	lru *lru.Cache[variantKey, earlierFailure]
	now func() time.Time
}

// variantKey is a variant as one client may pull it: what a registry denies to some
// credentials, or a runtime handler's snapshotter does not unpack, others may have.
// Credentials stay within the hash.
type variantKey [sha256.Size]byte

// earlierFailure is the failure of an earlier pull.
type earlierFailure struct {
	rules *decision.Rules
	until time.Time
	cause string
}

func newUnpullable() *unpullable {
	known, _ := lru.New[variantKey, earlierFailure](maxUnpullable) // fails for sizes below 1 only
	return &unpullable{lru: known, now: time.Now}
}

// get returns the failure of a variant that is not to be tried again yet.
func (u *unpullable) get(key variantKey, rules *decision.Rules) (earlierFailure, bool) {
	e, ok := u.lru.Get(key)
	left := e.until.Sub(u.now())
	return e, ok && e.rules == rules && left > 0 && left <= retryAfter // more where the clock was set back
}

func (u *unpullable) put(key variantKey, rules *decision.Rules, cause string) {
	u.lru.Add(key, earlierFailure{rules: rules, until: u.now().Add(retryAfter), cause: cause})
}

// keyOf is the key of candidate i.
func (a *attempts) keyOf(i int) variantKey {
	d, auth := a.plan.decision, a.req.GetAuth()
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q %q %q %q",
		d.Repository, d.Candidates[i].Digest, a.req.GetImage().GetRuntimeHandler(), auth.GetUsername(), auth.GetPassword(),
		auth.GetAuth(), auth.GetServerAddress(), auth.GetIdentityToken(), auth.GetRegistryToken()))
}
