package decision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxCandidates bounds the entries of an index for one node, maxGathered those for all.
const (
	maxCandidates = 256
	maxGathered   = 512
)

// scope is which images of an index are looked at.
type scope struct {
	canRun func(ocispec.Platform) bool
	whom   string // they are for
	most   int
	twins  bool // tell those that state one platform apart now, not when one is chosen
}

// ofNode is the scope of a pull.
func ofNode(n node) scope { return scope{canRun: n.canRun, whom: "for this node", most: maxCandidates} }

// ofAny is the scope of a question about many nodes.
func ofAny() scope {
	return scope{canRun: func(ocispec.Platform) bool { return true }, whom: "that are images", most: maxGathered, twins: true}
}

// unsupportedError is why the runtime may understand a reference and imagefit does not.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

// notRead is an index that imagefit does not read.
func notRead(why error) error { return unsupportedError("index not read: " + why.Error()) }

// gather reads what a reference stands for, as far as it is in the scope.
func (l *lookup) gather(ctx context.Context, top ocispec.Descriptor, in scope) (*Needs, error) {
	n := &Needs{Reference: l.named.String(), Repository: l.name, Top: top}
	var err error
	switch {
	case index.IsIndex(top.MediaType):
		err = l.gatherIndex(ctx, n, in)
	case index.IsManifest(top.MediaType):
		err = l.gatherManifest(ctx, n)
	default:
		err = unsupportedError("media type " + textutil.Line(top.MediaType, maxWords) + " is neither an index nor an image")
	}
	if why, ok := errors.AsType[unsupportedError](err); ok {
		n.Unread, err = string(why), nil
	}
	n.NoReferrersAPI = l.noAPI.Load()
	return n, err
}

// gatherIndex finds the images of an index and what is stated of them.
func (l *lookup) gatherIndex(ctx context.Context, n *Needs, in scope) error {
	entries, priorities, err := l.entries(ctx, n.Top)
	if err != nil {
		return err
	}
	n.Priorities = priorities
	if n.Entries, err = l.survey(ctx, in, n.Top.Size, entries); err != nil {
		return err
	}
	images := 0
	for e := range leaves(n.Entries, nil) {
		if e.isImage() && in.canRun(*e.platform) {
			e.Claims.Annotations = l.preferred(e.Listed.Annotations)
			images++
		}
	}
	switch {
	case images > in.most:
		n.Entries = nil
		return notRead(fmt.Errorf("it has %d entries %s, more than the %d that are read", images, in.whom, in.most))
	case images == 0:
		return nil
	}
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() error { return l.artifacts(inGroup, n, in) })
	group.Go(func() error { return l.signature(inGroup, n) })
	if err := group.Wait(); err != nil {
		return err
	}
	if in.twins {
		return l.inspectTwins(ctx, n)
	}
	return nil
}

// isImage reports whether the entry is a candidate on nodes of its platform.
func (e *Entry) isImage() bool {
	return e.Why == "" && e.platform != nil && (e.kind == index.Image || e.kind == index.Unstated)
}

// gatherManifest makes an image without an index the one entry. Its platform is that of
// its config.
func (l *lookup) gatherManifest(ctx context.Context, n *Needs) error {
	e := &Entry{Listed: index.Entry{Descriptor: n.Top}, kind: index.Unstated}
	n.Entries = []*Entry{e}
	var p ocispec.Platform
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() error { return l.artifacts(inGroup, n, ofAny()) })
	group.Go(func() (err error) {
		p, err = l.platformOf(inGroup, n.Top)
		return err
	})
	if err := group.Wait(); err != nil || p.Architecture == "" {
		return err
	}
	e.runsOn(&p)
	var err error
	e.Platform, err = json.Marshal(p)
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

// artifacts looks up, for all at once, what is stated of each image of the scope, and of
// each index that it is in.
func (l *lookup) artifacts(ctx context.Context, n *Needs, in scope) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxLookups) // more would only wait for one another, and take memory
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
	for e, within := range leaves(n.Entries, n.outermost()) {
		if len(within) > 0 && (!e.isImage() || !in.canRun(*e.platform)) {
			continue
		}
		for _, desc := range within {
			discover(desc)
		}
		discover(e.Listed.Descriptor)
		group.Go(func() error { return l.readClaims(ctx, e) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look up what %s needs: %w", n.Reference, err)
	}
	n.Attached = make(map[digest.Digest][]referrers.Artifact, len(attached))
	for of, found := range attached {
		if len(*found) > 0 {
			n.Attached[of] = *found
		}
	}
	return nil
}

// outermost is the index that all entries are in; none where the reference is an image.
func (n *Needs) outermost() []ocispec.Descriptor {
	if !n.isIndex() {
		return nil
	}
	return []ocispec.Descriptor{n.Top}
}

func (n *Needs) isIndex() bool { return index.IsIndex(n.Top.MediaType) }

// artifactsOf returns the compatibility artifacts of one manifest or index: of each
// kind the newest. Every blob they name is in the cache afterwards.
func (l *lookup) artifactsOf(ctx context.Context, subject ocispec.Descriptor) ([]referrers.Artifact, error) {
	found, err := referrers.DiscoverWith(ctx, l, subject, referrers.Options{Limits: l, Keys: l.keys})
	if err != nil {
		return nil, err
	}
	if found.Unopened > 0 {
		l.r.log.Warn("too many referrers, reading only the newest",
			"subject", subject.Digest, "read", referrers.MaxOpened, "unread", found.Unopened)
	}
	return l.withSeen(ctx, subject.Digest, found.Current())
}

// inspectTwins reads the manifests of images without artifacts of their own that state
// the platform of another one, as a pull does before it chooses one of them: build tools
// list artifacts under the platform of the image that they belong to.
func (l *lookup) inspectTwins(ctx context.Context, n *Needs) error {
	stated := map[string]map[digest.Digest]bool{}
	name := func(e *Entry) string { return platforms.FormatAll(platforms.Normalize(*e.platform)) }
	for e := range leaves(n.Entries, nil) {
		if e.isImage() {
			if stated[name(e)] == nil {
				stated[name(e)] = map[digest.Digest]bool{}
			}
			stated[name(e)][e.Listed.Digest] = true
		}
	}
	left := maxInspected
	for e := range leaves(n.Entries, nil) {
		if left == 0 || !e.isImage() || len(stated[name(e)]) < 2 || len(n.Attached[e.Listed.Digest]) > 0 {
			continue
		}
		left--
		_, err := l.imageManifest(ctx, e.Listed.Descriptor)
		what, notImage := errors.AsType[notImageError](err)
		switch {
		case notImage:
			e.NotImage = Line(what.Error())
		case err != nil && ctx.Err() != nil:
			return err
		}
	}
	return nil
}
