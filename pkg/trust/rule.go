package trust

import (
	"slices"
	"strings"
	"time"
)

// Rule says whose metadata counts.
type Rule struct {
	// Signed makes metadata count only where one of the keys signed it.
	Signed bool
	Keys   []Key
	// MinCreated is the time before which nothing signed counts any more.
	MinCreated time.Time
}

// Has returns the key with an ID.
func (r *Rule) Has(id string) (Key, bool) {
	i := slices.IndexFunc(r.Keys, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return Key{}, false
	}
	return r.Keys[i], true
}

// Rules are the rules for all repositories. The zero value, and nil, want no signature.
type Rules struct {
	Rule
	Repositories map[string]Rule // by the start of their names
}

// For returns the rule for a repository: that of the longest prefix.
func (r *Rules) For(repository string) *Rule {
	if r == nil {
		return &Rule{}
	}
	longest, found := "", &r.Rule
	for prefix, rule := range r.Repositories {
		rest, ok := strings.CutPrefix(repository, prefix)
		if ok && (rest == "" || rest[0] == '/') && len(prefix) > len(longest) {
			longest, found = prefix, &rule
		}
	}
	return found
}

// AnySigned reports whether any repository needs signatures.
func (r *Rules) AnySigned() bool {
	if r == nil {
		return false
	}
	signed := r.Signed
	for _, rule := range r.Repositories {
		signed = signed || rule.Signed
	}
	return signed
}
