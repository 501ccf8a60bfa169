package decision

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// Required is an image of an index, or the one of a reference, and all that it requires.
type Required struct {
	Digest       digest.Digest
	Platform     *ocispec.Platform    // nil where it is not known
	Requirements []compat.Requirement // must not be changed
}

// Required returns what each image of a reference requires, whatever the node. What is too
// costly to evaluate is left out.
func (e *Evaluator) Required(ctx context.Context, rules *Rules, n *Needs) []Required {
	var all []Required
	for entry, within := range leaves(n.Entries, n.outermost()) {
		if n.isIndex() && !entry.isImage() {
			continue
		}
		one := Required{Digest: entry.Listed.Digest, Platform: entry.platform}
		asker := e.Asker(rules, func(reqs []compat.Requirement) { one.Requirements = append(one.Requirements, reqs...) })
		asker.session.begin(n)
		c := n.candidate(asker.session.ev, entry, within)
		asker.session.ev.candidate(ctx, n.Reference, c.Digest, c.claims, c.Artifacts)
		all = append(all, one)
	}
	return all
}

// Platforms yields the platforms of the images of a reference.
func (n *Needs) Platforms() iter.Seq[ocispec.Platform] {
	return func(yield func(ocispec.Platform) bool) {
		for entry := range leaves(n.Entries, n.outermost()) {
			if entry.platform != nil && (!n.isIndex() || entry.isImage()) && !yield(*entry.platform) {
				return
			}
		}
	}
}

// CanRun reports whether a node can run images of a platform, what they require aside.
func CanRun(f *facts.Facts, p ocispec.Platform) bool { return new(Evaluator).newNode(f).canRun(p) }
