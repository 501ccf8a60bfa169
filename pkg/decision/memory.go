package decision

import (
	"context"

	"golang.org/x/sync/semaphore"
)

const (
	// freeSize is what may be read without a share of a budget. Nearly all that real
	// registries have is smaller, so that it never waits for what a stranger has.
	freeSize = 16 << 10

	// maxInUse bounds the large content that is read at the same time, for all pulls
	// together, and maxInUseOfOne for one.
	maxInUse, maxInUseOfOne = 8 << 20, 4 << 20
	// maxHeld bounds the bodies of one pull that stay in memory until they are
	// evaluated; others are read from the cache again.
	maxHeld = 1 << 20
	// largeIndex is what makes an index a large one. maxIndexes bounds the pulls at the
	// same time that have large ones, and maxIndexSize how large they are, those within
	// them included.
	largeIndex, maxIndexes, maxIndexSize = 256 << 10, 2, 4 << 20

	// maxParsed bounds the large bodies that are parsed at the same time, for all pulls
	// together: a tree takes several times the memory of its text.
	maxParsed = 4 << 20
)

// budget bounds how many bytes of large content are in use at a time.
type budget struct {
	size int64
	left *semaphore.Weighted
}

func newBudget(size int64) *budget { return &budget{size, semaphore.NewWeighted(size)} }

// reserve waits for a share of the budget, which release gives back. What is larger than
// the budget has all of it.
func (b *budget) reserve(ctx context.Context, size int64) (release func(), err error) {
	if size <= freeSize {
		return func() {}, nil
	}
	size = min(size, b.size)
	if err := b.left.Acquire(ctx, size); err != nil {
		return nil, err
	}
	return func() { b.left.Release(size) }, nil
}

// Reserve implements referrers.Limits.
func (l *lookup) Reserve(ctx context.Context, size int64) (release func(), err error) {
	own, err := l.inUse.reserve(ctx, size)
	if err != nil {
		return nil, err
	}
	all, err := l.r.inUse.reserve(ctx, size)
	if err != nil {
		own()
		return nil, err
	}
	return func() { all(); own() }, nil
}

// Keeps implements referrers.Limits.
func (l *lookup) Keeps(size int64) bool { return l.held.Add(size) <= maxHeld }

// reserveIndex waits for a share of the memory for large indexes, for as long as the
// look-up lasts, where the entries of one need it.
func (l *lookup) reserveIndex(ctx context.Context, size int64) (err error) {
	if size <= largeIndex {
		return nil
	}
	l.large.Do(func() {
		if err = l.r.indexes.Acquire(ctx, 1); err == nil {
			l.giveBack = func() { l.r.indexes.Release(1) }
		}
	})
	return err
}
