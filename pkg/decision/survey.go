package decision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

const (
	// maxDepth bounds how deep indexes within indexes are read, the outermost
	// included.
	maxDepth = 4
	// maxNested bounds how many indexes within an index are read.
	maxNested = 8
	// maxInspected bounds how many manifests are read to see what they are.
	maxInspected = 8
)

// listed is an entry of an index, or of an index within it, and what became of it.
type listed struct {
	index.Entry
	kind index.Kind
	why  string // it is not a candidate
	// within are the indexes that it was found in, without the outermost one.
	within []ocispec.Descriptor
	// children are the entries of an index that was read.
	children []*listed
	wasRead  bool
	// platform is the one that is stated, or else that of the config; raw is the
	// same as it is written.
	platform *ocispec.Platform
	raw      json.RawMessage
	// foreign is true of an image for another platform than the node's.
	foreign bool
	// unseen is true of what may be, or hold, an image for the node and was not read.
	unseen bool
	// artifact is true of a manifest whose own content shows that it is not an image.
	artifact  bool
	candidate int // its position among the candidates, or None
}

// survey reads an index with everything that it takes to tell which entries are
// images for the node, all of it bounded.
type survey struct {
	l    *lookup
	n    node
	top  []*listed
	left struct{ entries, nested int }
	size int64 // of the indexes
}

// survey tells the entries apart. An entry that cannot be read is set aside, and
// does not keep the others from being candidates.
func (l *lookup) survey(ctx context.Context, n node, top int64, entries []index.Entry) (*survey, error) {
	s := &survey{l: l, n: n, size: top}
	s.left.entries, s.left.nested = index.MaxEntries-len(entries), maxNested
	s.top = newListed(entries, nil)
	level := s.top
	for depth := 1; len(level) > 0; depth++ {
		var err error
		if level, err = s.descend(ctx, level, depth); err != nil {
			return nil, err
		}
	}
	if err := s.inspect(ctx, s.unstated()); err != nil {
		return nil, err
	}
	for _, e := range s.leaves() {
		if e.why == "" && !n.canRun(*e.platform) {
			e.setForeign(n)
		}
	}
	return s, nil
}

func newListed(entries []index.Entry, within []ocispec.Descriptor) []*listed {
	all := make([]*listed, len(entries))
	for i, e := range entries {
		l := &listed{Entry: e, within: within, platform: e.Platform, raw: e.RawPlatform, candidate: None}
		l.kind, l.why = e.Kind()
		all[i] = l
	}
	return all
}

// String names the entry and says what keeps it from being a candidate.
func (e *listed) String() string {
	name := short(e.Digest)
	if e.platform != nil {
		name = index.PlatformName(e.platform) + "@" + name
	}
	return Line(name + ": " + e.why)
}

// descend reads the indexes of one level and returns the entries of the next.
func (s *survey) descend(ctx context.Context, level []*listed, depth int) ([]*listed, error) {
	var nested []*listed
	for _, e := range level {
		switch {
		case e.kind != index.Nested:
		case e.Platform != nil && e.Platform.Architecture != "" && !s.n.canRun(*e.Platform):
			e.setForeign(s.n)
		case depth == maxDepth:
			e.setUnseen("not read: it is within %d indexes", depth)
		case s.left.nested == 0:
			e.setUnseen("not read: it is one of more than %d indexes within the index", maxNested)
		case s.size+e.Size > maxIndexSize:
			e.setUnseen("not read: with it, the index has more than %d bytes", maxIndexSize)
		default:
			s.left.nested--
			s.size += e.Size
			nested = append(nested, e)
		}
	}
	if err := s.l.reserveIndex(ctx, s.size); err != nil {
		return nil, err
	}
	if err := s.each(ctx, nested, (*survey).readNested); err != nil {
		return nil, err
	}
	var next []*listed
	for _, e := range nested {
		if s.left.entries -= len(e.children); s.left.entries < 0 {
			e.children, e.wasRead, s.left.entries = nil, false, s.left.entries+len(e.children)
			e.setUnseen("not read: with it, the index has more than %d entries", index.MaxEntries)
		}
		next = append(next, e.children...)
	}
	return next, nil
}

func (s *survey) readNested(ctx context.Context, e *listed) error {
	release, err := s.l.Reserve(ctx, e.Size)
	if err != nil {
		return err
	}
	defer release()
	body, err := s.l.imageContent(ctx, e.Descriptor)
	var entries []index.Entry
	if err == nil {
		entries, err = index.Parse(body)
	}
	if err != nil {
		return s.setAside(ctx, e, err)
	}
	within := slices.Concat(e.within, []ocispec.Descriptor{e.Descriptor})
	e.children, e.wasRead = newListed(entries, within), true
	return nil
}

// setAside keeps an entry that cannot be read from ending the survey.
func (s *survey) setAside(ctx context.Context, e *listed, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if !registry.IsContentError(err) {
		s.l.validUntil.lower(time.Time{}) // the registry may answer the next time
	}
	e.setUnseen("cannot be read: %v", err)
	return nil
}

func (e *listed) setForeign(n node) { e.why, e.foreign = n.otherPlatform(*e.platform), true }

func (e *listed) setUnseen(format string, args ...any) {
	e.why, e.unseen = Line(fmt.Sprintf(format, args...)), true
}

// leaves lists the entries in the order of the index, those of an index within it
// in its place.
func (s *survey) leaves() []*listed { return appendLeaves(nil, s.top) }

func appendLeaves(leaves, level []*listed) []*listed {
	for _, e := range level {
		if e.wasRead {
			leaves = appendLeaves(leaves, e.children)
		} else {
			leaves = append(leaves, e)
		}
	}
	return leaves
}

// unstated lists the entries whose platform only their config states.
func (s *survey) unstated() []*listed {
	var all []*listed
	for _, e := range s.leaves() {
		if e.kind == index.Unstated {
			all = append(all, e)
		}
	}
	return all
}

// inspect reads the platforms that are not stated, as many as the bounds allow.
func (s *survey) inspect(ctx context.Context, entries []*listed) error {
	for _, e := range entries[min(len(entries), maxInspected):] {
		e.setUnseen("not read: it states no platform, as more than %d entries do", maxInspected)
	}
	return s.each(ctx, entries[:min(len(entries), maxInspected)], (*survey).readPlatform)
}

func (s *survey) each(ctx context.Context, entries []*listed, do func(*survey, context.Context, *listed) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, e := range entries {
		group.Go(func() error { return do(s, ctx, e) })
	}
	return group.Wait()
}

// readPlatform takes the platform of an entry from the config of its image.
func (s *survey) readPlatform(ctx context.Context, e *listed) error {
	m, err := s.l.imageManifest(ctx, e.Descriptor)
	if what, ok := errors.AsType[notImageError](err); ok {
		e.why, e.artifact = Line(what.Error()), true
		return nil
	}
	var p ocispec.Platform
	if err == nil {
		p, err = s.l.configPlatform(ctx, m)
	}
	if err != nil {
		return s.setAside(ctx, e, err)
	}
	if e.platform = &p; p.Architecture == "" {
		e.setUnseen("states no platform, and its config does not either")
		return nil
	}
	e.raw, err = json.Marshal(p)
	return err
}
