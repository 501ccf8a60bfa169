package decision

import (
	"context"
	"time"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// inheritTimeout bounds what a base image may cost a decision: without it the image
// still has its own requirements.
const inheritTimeout = 2 * time.Second

// inherit returns what is attached to the base image of a candidate. What is wrong with
// the base image does not matter to the pull.
func (l *lookup) inherit(ctx context.Context, e *Entry) []referrers.Artifact {
	base := e.Claims.Base
	if !l.ev.Rules.InheritBase || base == nil || base.Name == "" || base.Digest == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inheritTimeout)
	defer cancel()
	found, err := l.ofBase(ctx, e)
	if err != nil {
		l.validUntil.lower(time.Time{}) // it may answer the next time
		l.r.log.Warn("cannot look up what the base image needs", "base", Line(base.Name), "digest", base.Digest, "error", err)
		return nil
	}
	for i := range found {
		found[i].Base = Line(base.Name)
	}
	return found
}

// ofBase looks up the artifacts of a base image in its own repository, with the
// credentials of the pull if that is at the same registry.
func (l *lookup) ofBase(ctx context.Context, e *Entry) ([]referrers.Artifact, error) {
	named, err := parse(e.Claims.Base.Name)
	if err != nil {
		return nil, err
	}
	pinned, err := reference.WithDigest(reference.TrimNamed(named), e.Claims.Base.Digest)
	if err != nil {
		return nil, err
	}
	auth := l.auth
	if reference.Domain(named) != reference.Domain(l.named) {
		auth = nil
	}
	repo, err := l.r.registry.Repository(pinned, auth)
	if err != nil {
		return nil, err
	}
	repo.NamedBy(l.repo)
	of := l.r.newLookup(l.ev, repo, named.Name(), auth)
	of.named, of.auth, of.refreshes = pinned, auth, l.refreshes
	defer of.end()
	defer func() {
		if of.stale.Load() {
			l.stale.Store(true)
		}
	}()
	top, err := of.resolve(ctx, pinned)
	if err != nil {
		return nil, err
	}
	subjects := []ocispec.Descriptor{top}
	if index.IsIndex(top.MediaType) {
		if subjects, err = of.variantOf(ctx, top, e.platform); err != nil {
			return nil, err
		}
	}
	var found []referrers.Artifact
	for _, subject := range subjects {
		on, err := of.artifactsOf(ctx, subject)
		if err != nil {
			return nil, err
		}
		found = overlay(found, on)
	}
	l.validUntil.lower(of.validUntil.time())
	return found, nil
}

// variantOf returns the entry of an index for a platform, then the index itself.
func (l *lookup) variantOf(ctx context.Context, top ocispec.Descriptor, p *ocispec.Platform) ([]ocispec.Descriptor, error) {
	body, err := l.Manifest(ctx, top)
	if err != nil {
		return nil, err
	}
	entries, err := index.Parse(body)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if kind, _ := e.Kind(); kind == index.Image && p != nil && platforms.FormatAll(platforms.Normalize(*e.Platform)) == platforms.FormatAll(platforms.Normalize(*p)) {
			return []ocispec.Descriptor{e.Descriptor, top}, nil
		}
	}
	return []ocispec.Descriptor{top}, nil
}
