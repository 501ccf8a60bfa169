package decision

import (
	"context"
	"errors"
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

// survey reads an index with everything that it takes to tell which entries are
// images of its scope, all of it bounded.
type survey struct {
	l    *lookup
	in   scope
	top  []*Entry
	left struct{ entries, nested int }
	size int64 // of the indexes
}

// survey tells the entries apart. An entry that cannot be read is set aside, and
// does not keep the others from being candidates.
func (l *lookup) survey(ctx context.Context, in scope, top int64, entries []index.Entry) ([]*Entry, error) {
	s := &survey{l: l, in: in, size: top}
	s.left.entries, s.left.nested = index.MaxEntries-len(entries), maxNested
	s.top = newEntries(entries)
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
	return s.top, nil
}

// descend reads the indexes of one level and returns the entries of the next.
func (s *survey) descend(ctx context.Context, level []*Entry, depth int) ([]*Entry, error) {
	var nested []*Entry
	for _, e := range level {
		switch {
		case e.kind != index.Nested:
		case e.statesPlatform() && !s.in.canRun(*e.Listed.Platform):
		case depth == maxDepth:
			e.setUnseen("not read: it is within %d indexes", depth)
		case s.left.nested == 0:
			e.setUnseen("not read: it is one of more than %d indexes within the index", maxNested)
		case s.size+e.Listed.Size > maxIndexSize:
			e.setUnseen("not read: with it, the index has more than %d bytes", maxIndexSize)
		default:
			s.left.nested--
			s.size += e.Listed.Size
			nested = append(nested, e)
		}
	}
	if err := s.l.reserveIndex(ctx, s.size); err != nil {
		return nil, err
	}
	if err := s.each(ctx, nested, (*survey).readNested); err != nil {
		return nil, err
	}
	var next []*Entry
	for _, e := range nested {
		if s.left.entries -= len(e.Children); s.left.entries < 0 {
			s.left.entries += len(e.Children)
			e.Children, e.WasRead = nil, false
			e.setUnseen("not read: with it, the index has more than %d entries", index.MaxEntries)
		}
		next = append(next, e.Children...)
	}
	return next, nil
}

func (s *survey) readNested(ctx context.Context, e *Entry) error {
	release, err := s.l.Reserve(ctx, e.Listed.Size)
	if err != nil {
		return err
	}
	defer release()
	body, err := s.l.imageContent(ctx, e.Listed.Descriptor)
	var entries []index.Entry
	if err == nil {
		entries, err = index.Parse(body)
	}
	if err != nil {
		return s.setAside(ctx, e, err)
	}
	e.Children, e.WasRead = newEntries(entries), true
	return nil
}

// setAside keeps an entry that cannot be read from ending the survey.
func (s *survey) setAside(ctx context.Context, e *Entry, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if !registry.IsContentError(err) {
		s.l.validUntil.lower(time.Time{}) // the registry may answer the next time
	}
	e.setUnseen("cannot be read: %v", err)
	return nil
}

// unstated lists the entries whose platform only their config states.
func (s *survey) unstated() []*Entry {
	var all []*Entry
	for e := range leaves(s.top, nil) {
		if e.kind == index.Unstated {
			all = append(all, e)
		}
	}
	return all
}

// inspect reads the platforms that are not stated, as many as the bounds allow.
func (s *survey) inspect(ctx context.Context, entries []*Entry) error {
	for _, e := range entries[min(len(entries), maxInspected):] {
		e.setUnseen("not read: it states no platform, as more than %d entries do", maxInspected)
	}
	return s.each(ctx, entries[:min(len(entries), maxInspected)], (*survey).readPlatform)
}

func (s *survey) each(ctx context.Context, entries []*Entry, do func(*survey, context.Context, *Entry) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, e := range entries {
		group.Go(func() error { return do(s, ctx, e) })
	}
	return group.Wait()
}

// readPlatform takes the platform of an entry from the config of its image.
func (s *survey) readPlatform(ctx context.Context, e *Entry) error {
	m, err := s.l.imageManifest(ctx, e.Listed.Descriptor)
	if what, ok := errors.AsType[notImageError](err); ok {
		e.Why, e.Artifact = Line(what.Error()), true
		return nil
	}
	var p ocispec.Platform
	if err == nil {
		p, err = s.l.configPlatform(ctx, m)
	}
	if err != nil {
		return s.setAside(ctx, e, err)
	}
	return e.setPlatform(p)
}
