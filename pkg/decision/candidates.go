package decision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxCandidates bounds the entries of an index for one node.
const maxCandidates = 256

// unsupportedError is why the runtime may understand a reference and imagefit does not.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

// notRead is an index that imagefit does not read.
func notRead(why error) error { return unsupportedError("index not read: " + why.Error()) }

// ofIndex finds the candidates of an index and what is stated of them.
func (l *lookup) ofIndex(ctx context.Context, d *Decision, top ocispec.Descriptor, n node) error {
	entries, priorities, err := l.entries(ctx, top)
	if err != nil {
		return err
	}
	d.Priorities = readPriorities(priorities)
	s, err := l.survey(ctx, n, top.Size, entries)
	if err != nil {
		return err
	}
	for i, e := range s.leaves() {
		d.add(l, i, e)
	}
	if len(d.Candidates) > maxCandidates {
		found := len(d.Candidates)
		d.Candidates, d.Others = nil, nil
		return notRead(fmt.Errorf("it has %d entries for this node, more than the %d that are read", found, maxCandidates))
	}
	takes, unevaluated := n.runtimeTakes(s.top)
	if d.Default = takes; d.Unevaluated == "" {
		d.Unevaluated = unevaluated
	}
	if len(d.Candidates) == 0 {
		return nil
	}
	return l.artifacts(ctx, d, &top)
}

// add adds an entry of the index to the candidates or to the others.
func (d *Decision) add(l *lookup, position int, e *listed) {
	var within digest.Digest
	if len(e.within) > 0 {
		within = e.within[len(e.within)-1].Digest
	}
	if e.why != "" {
		other := Other{Entry: position, Digest: e.Digest, Within: within, Reason: e.why, foreign: e.foreign}
		if e.platform != nil {
			other.Platform = index.PlatformName(e.platform)
		}
		if e.unseen && d.Unevaluated == "" {
			d.Unevaluated = e.String()
		}
		d.Others = append(d.Others, other)
		return
	}
	e.candidate = len(d.Candidates)
	descriptor := e.Descriptor
	descriptor.Platform = e.platform
	d.Candidates = append(d.Candidates, Candidate{
		Entry: position, Within: within, Digest: e.Digest, Platform: index.PlatformName(e.platform),
		descriptor: descriptor, platform: e.platform, indexes: e.within, stated: e.Annotations[dialect.AnnotationProperties],
		claims: EntryClaims{Platform: e.raw, Annotations: l.preferred(e.Annotations), Index: d.Index},
	})
}

// ofManifest makes the one candidate of a reference without an index. Its platform
// is that of its config.
func (l *lookup) ofManifest(ctx context.Context, d *Decision, top ocispec.Descriptor, n node) error {
	d.Candidates, d.Default = []Candidate{{Digest: top.Digest, descriptor: top}}, 0
	var p ocispec.Platform
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() error { return l.artifacts(inGroup, d, nil) })
	group.Go(func() (err error) {
		p, err = l.platformOf(inGroup, top)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	c := &d.Candidates[0]
	switch {
	case p.Architecture == "" || n.architecture == "":
		return nil
	case !n.canRun(p):
		d.Others = []Other{{Digest: top.Digest, Platform: index.PlatformName(&p), Reason: n.otherPlatform(p), foreign: true}}
		d.Candidates, d.Default = nil, None
		return nil
	}
	c.platform, c.Platform = &p, index.PlatformName(&p)
	var err error
	c.claims.Platform, err = json.Marshal(p)
	return err
}

// platformOf reads the platform of an image, none where its manifest or config cannot
// be read: the runtime's pull will tell what is wrong.
func (l *lookup) platformOf(ctx context.Context, desc ocispec.Descriptor) (p ocispec.Platform, err error) {
	m, err := l.imageManifest(ctx, desc)
	if err == nil {
		p, err = l.configPlatform(ctx, m)
	}
	if err != nil && ctx.Err() == nil {
		return ocispec.Platform{}, nil
	}
	return p, err
}

// entries reads the entries of an index, and what it says of their priorities.
func (l *lookup) entries(ctx context.Context, top ocispec.Descriptor) (entries []index.Entry, priorities string, err error) {
	if err := registry.CheckDescriptor(top); err != nil {
		return nil, "", notRead(err)
	}
	if err := l.reserveIndex(ctx, top.Size); err != nil {
		return nil, "", err
	}
	release, err := l.Reserve(ctx, top.Size)
	if err != nil {
		return nil, "", err
	}
	defer release()
	body, err := l.imageContent(ctx, top)
	if errors.Is(err, registry.ErrTooLarge) {
		return nil, "", notRead(err)
	}
	if err != nil {
		return nil, "", err
	}
	if entries, err = index.Parse(body); err != nil {
		return nil, "", notRead(err)
	}
	return entries, index.Annotation(body, dialect.AnnotationPriorities), nil
}

// choose chooses among the candidates. The manifest of a choice that states the same
// platform as another candidate is read first, and the choice made again where it is
// not that of an image: build tools list artifacts under the platform of the image
// that they belong to.
func (l *lookup) choose(ctx context.Context, d *Decision) error {
	for range maxInspected {
		d.choose()
		if d.Index == "" || d.Choice == None || d.Candidates[d.Choice].described || !d.hasTwin(d.Choice) {
			return nil
		}
		_, err := l.imageManifest(ctx, d.Candidates[d.Choice].descriptor)
		what, notImage := errors.AsType[notImageError](err)
		switch {
		case notImage:
			d.setAside(d.Choice, what.Error())
		case err != nil && ctx.Err() != nil:
			return err
		default: // what is wrong with it, the runtime's pull will tell
			return nil
		}
	}
	d.choose()
	return nil
}

// hasTwin reports whether another candidate states the same platform.
func (d *Decision) hasTwin(i int) bool {
	stated := func(c Candidate) string { return platforms.FormatAll(platforms.Normalize(*c.platform)) }
	return slices.ContainsFunc(d.Candidates, func(c Candidate) bool {
		return c.Digest != d.Candidates[i].Digest && stated(c) == stated(d.Candidates[i])
	})
}

// setAside makes a candidate one of the other entries.
func (d *Decision) setAside(i int, reason string) {
	c := d.Candidates[i]
	d.Others = append(d.Others, Other{Entry: c.Entry, Within: c.Within, Digest: c.Digest, Platform: c.Platform, Reason: reason})
	slices.SortStableFunc(d.Others, func(a, b Other) int { return cmp.Compare(a.Entry, b.Entry) })
	d.Candidates = slices.Delete(d.Candidates, i, i+1)
	switch {
	case d.Default == i:
		d.Default = None
	case d.Default > i:
		d.Default--
	}
}

// artifacts looks up, for all at once, what is stated of each candidate, and of each
// index that it is in, which applies to those that have nothing of that kind nearer.
func (l *lookup) artifacts(ctx context.Context, d *Decision, top *ocispec.Descriptor) error {
	group, ctx := errgroup.WithContext(ctx)
	attached := map[digest.Digest]*[]referrers.Artifact{}
	discover := func(desc ocispec.Descriptor) {
		if attached[desc.Digest] != nil {
			return // an index may list a manifest several times
		}
		found := new([]referrers.Artifact)
		attached[desc.Digest] = found
		group.Go(func() (err error) {
			*found, err = l.artifactsOf(ctx, desc)
			return err
		})
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if top != nil {
			c.indexes = append([]ocispec.Descriptor{*top}, c.indexes...)
		}
		for _, desc := range c.indexes {
			discover(desc)
		}
		discover(c.descriptor)
		group.Go(func() error { return l.readClaims(ctx, c) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look up what %s needs: %w", d.Reference, err)
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Artifacts = slices.Clone(*attached[c.Digest])
		c.described = len(c.Artifacts) > 0
		for _, desc := range slices.Backward(c.indexes) {
			c.Artifacts = overlay(c.Artifacts, *attached[desc.Digest])
		}
		c.Artifacts = append(append(c.Artifacts, c.inline...), c.inherited...)
	}
	return nil
}

// artifactsOf returns the compatibility artifacts of one manifest or index: of each
// kind the newest. Every blob they name is in the cache afterwards.
func (l *lookup) artifactsOf(ctx context.Context, subject ocispec.Descriptor) ([]referrers.Artifact, error) {
	found, err := referrers.DiscoverWithin(ctx, l, subject, l)
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
