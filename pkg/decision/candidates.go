package decision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxCandidates bounds the entries of an index for one node.
const maxCandidates = 256

// errUnsupported marks an index that the runtime may understand and imagefit does
// not.
var errUnsupported = errors.New("index not inspected")

// ofIndex finds the candidates of an index and what is stated of them.
func (l *lookup) ofIndex(ctx context.Context, d *Decision, top ocispec.Descriptor, n node) error {
	entries, err := l.images(ctx, top)
	if err != nil {
		return err
	}
	candidates, others := n.split(entries)
	if len(candidates) > maxCandidates {
		return fmt.Errorf("%w: the index has %d entries for this node, more than the %d that are read",
			errUnsupported, len(candidates), maxCandidates)
	}
	d.Default = n.runtimeChoice(candidates)
	for _, e := range others {
		d.Others = append(d.Others, index.PlatformName(e.Platform))
	}
	for _, e := range candidates {
		d.Candidates = append(d.Candidates, Candidate{
			Digest: e.Digest, Platform: index.PlatformName(e.Platform), descriptor: e.Descriptor,
			claims: EntryClaims{Platform: e.RawPlatform, Annotations: l.preferred(e.Annotations)},
		})
	}
	if len(candidates) == 0 {
		return nil
	}
	return l.artifacts(ctx, d, &top)
}

// images reads the entries of an index that are images.
func (l *lookup) images(ctx context.Context, top ocispec.Descriptor) ([]index.Entry, error) {
	body := l.first
	if body == nil {
		if err := registry.CheckDescriptor(top); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnsupported, err)
		}
		fetched, err := l.Manifest(ctx, top)
		if errors.Is(err, registry.ErrTooLarge) {
			return nil, fmt.Errorf("%w: %w", errUnsupported, err)
		}
		if err != nil {
			return nil, err
		}
		body = fetched
	}
	entries, err := index.Parse(body)
	if err == nil {
		entries, err = index.Images(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsupported, err)
	}
	return entries, nil
}

// split tells the entries that the node could run from the others.
func (n node) split(entries []index.Entry) (candidates, others []index.Entry) {
	for _, e := range entries {
		if n.canRun(*e.Platform) {
			candidates = append(candidates, e)
		} else {
			others = append(others, e)
		}
	}
	return candidates, others
}

// artifacts looks up, for all at once, what is stated of each candidate, and of the
// index, which applies to each of them that has nothing of that kind of its own.
func (l *lookup) artifacts(ctx context.Context, d *Decision, index *ocispec.Descriptor) error {
	group, ctx := errgroup.WithContext(ctx)
	var common []referrers.Artifact
	if index != nil {
		group.Go(func() (err error) {
			common, err = l.artifactsOf(ctx, *index)
			return err
		})
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		group.Go(func() (err error) {
			c.Artifacts, err = l.artifactsOf(ctx, c.descriptor)
			return err
		})
		group.Go(func() error { return l.readClaims(ctx, c) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look up what %s needs: %w", d.Reference, err)
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Artifacts = append(overlay(c.Artifacts, common), c.inline...)
	}
	return nil
}

// artifactsOf returns the compatibility artifacts of one manifest or index: of each
// kind the newest. Every blob they name is in the cache afterwards.
func (l *lookup) artifactsOf(ctx context.Context, subject ocispec.Descriptor) ([]referrers.Artifact, error) {
	found, err := referrers.Discover(ctx, l, subject)
	if err != nil {
		return nil, err
	}
	if found.Unopened > 0 {
		l.r.log.Warn("too many referrers, reading only the newest",
			"subject", subject.Digest, "read", referrers.MaxOpened, "unread", found.Unopened)
	}
	return found.Current(), nil
}

// overlay adds the artifacts of the index of whose kind the entry has none.
func overlay(own, common []referrers.Artifact) []referrers.Artifact {
	return append(own, slices.DeleteFunc(slices.Clone(common), func(a referrers.Artifact) bool {
		return slices.ContainsFunc(own, func(o referrers.Artifact) bool { return o.Kind() == a.Kind() })
	})...)
}
