package decision

import (
	"strings"
	"sync"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxSharedBodies bounds the bodies, in bytes as they are written, whose requirements
// stay in memory.
const maxSharedBodies = 16 << 20

// parsedBodies are what bodies require, for several nodes. They are parsed once; what
// there is no room for is parsed for each node.
type parsedBodies struct {
	mu   sync.Mutex
	by   map[parsedKey][]compat.Requirement
	left int
}

type parsedKey struct {
	answers policy.Answers
	body    bodyKey
}

func newParsedBodies() *parsedBodies {
	return &parsedBodies{by: map[parsedKey][]compat.Requirement{}, left: maxSharedBodies}
}

// get returns what a body requires, which must not be changed.
func (p *parsedBodies) get(key parsedKey, size int, parse func() []compat.Requirement) []compat.Requirement {
	p.mu.Lock()
	reqs, ok := p.by[key]
	p.mu.Unlock()
	if ok {
		return reqs
	}
	reqs = parse()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left >= size {
		p.left -= size
		p.by[key] = reqs
	}
	return reqs
}

// maxMemorable bounds the steps of a candidate whose finding is kept: that all candidates
// of an index are taken from memory must not matter to the budget of a pull.
const maxMemorable = 100_000

// memoKey tells candidates of a session apart that require the same. It reports false of
// a candidate about which more must be known.
func (e *evaluation) memoKey(claims EntryClaims, artifacts []referrers.Artifact) (string, bool) {
	if e.memo == nil || e.explains || e.visit != nil || e.priorities != nil || e.Rules.Descriptions.Len() > 0 ||
		len(claims.Environment) > 0 || len(claims.Annotations) > 0 {
		return "", false
	}
	var b strings.Builder
	if e.doubtsIndex(claims.Signer, "") == "" {
		b.WriteString("index ")
	}
	b.Write(claims.Platform)
	for _, a := range artifacts {
		if a.Problem != "" || a.Base != "" {
			return "", false
		}
		b.WriteString("\n" + a.Type + " " + a.MediaType + " " + a.Layer.String())
	}
	return b.String(), true
}

// isCheap reports whether no budget can matter to the bodies.
func isCheap(bodies []*body) bool {
	steps := 0
	for _, b := range bodies {
		if steps += b.steps; b.problem != "" || steps > maxMemorable {
			return false
		}
	}
	return true
}
