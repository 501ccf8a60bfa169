package decision

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxVouched bounds the variants of an index that are noted for a verifier: those that are
// pulled before the reference as it came.
const maxVouched = 16

// maxVouching bounds the indexes that are read again to find a variant in them.
const maxVouching = 32

// voucher says by whose signature of which index a variant is as good as signed.
type voucher struct {
	Index  digest.Digest    `json:"index"`
	Signer referrers.Signer `json:"signer"`
}

func voucherKey(repository string, variant digest.Digest) string {
	return repository + "@" + variant.String() + " vouched"
}

// vouch notes the variants that may be pulled of a signed index, for an image verifier
// that is asked about them by their digest.
func (l *lookup) vouch(d *Decision) {
	if d.Signer == nil || l.ev.answers.ImageVerifier != policy.Signed {
		return
	}
	fitting := d.Fitting()
	for _, i := range fitting[:min(len(fitting), maxVouched)] {
		key, v := voucherKey(l.name, d.Candidates[i].Digest), voucher{d.Index, *d.Signer}
		l.keep(func() error { return l.r.cache.PutReferrers(key, v) })
	}
}

// Vouched returns by whose signature of which index a variant is as good as signed. The
// index is read again, and the key must still be trusted.
func (e *Evaluator) Vouched(s Snapshot, repository string, variant digest.Digest) (of digest.Digest, by string, ok bool) {
	var v voucher
	if _, err := e.cache.Referrers(voucherKey(repository, variant), &v); err != nil {
		return "", "", false
	}
	key, trusted := s.Rules.Trust.For(repository).Has(v.Signer.Key)
	if !trusted {
		return "", "", false
	}
	left := maxVouching
	return v.Index, key.Name, e.names(repository, v.Index, variant, &left)
}

// names reports whether an index names a variant, itself or in an index that it names. What
// is not in the cache names nothing.
func (e *Evaluator) names(repository string, of, variant digest.Digest, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	body, err := e.cache.BlobFrom(repository, of)
	if err != nil || digest.FromBytes(body) != of {
		return false
	}
	entries, err := index.Parse(body)
	if err != nil {
		return false
	}
	if slices.ContainsFunc(entries, func(e index.Entry) bool { return e.Digest == variant }) {
		return true
	}
	return slices.ContainsFunc(entries, func(listed index.Entry) bool {
		return index.IsIndex(listed.MediaType) && e.names(repository, listed.Digest, variant, left)
	})
}

// Signer finds out which trusted key signed what a reference names, or why none did.
func (r *Resolver) Signer(ctx context.Context, req GatherRequest) (by *referrers.Signer, unsigned string, err error) {
	named, repo, err := r.repository(req.Reference, req.Auth)
	if err != nil {
		return nil, "", err
	}
	l := r.newLookup(r.newEvaluation(Snapshot{Rules: req.Rules}, named.Name()), repo, named.Name(), req.Auth)
	l.named, l.auth = named, req.Auth
	defer l.end()
	n := &Needs{}
	if n.Top, err = l.resolve(ctx, named); err != nil {
		return nil, "", err
	}
	err = l.signature(ctx, n)
	return n.Signer, n.Unsigned, err
}
