package catalog

import (
	"context"

	"github.com/distribution/reference"
)

// waiting is a name that a registry announced.
type waiting struct {
	repository, name string
	at               int64
}

// Pending looks at the names that registries announced since the last sync, and at nothing
// else.
func (s *Syncer) Pending(ctx context.Context) (Summary, error) {
	var all Summary
	sources, err := s.Catalog.Sources(ctx)
	if err != nil {
		return all, err
	}
	var names []waiting
	err = s.Catalog.each(ctx, func(scan func(...any) error) error {
		var w waiting
		err := scan(&w.repository, &w.name, &w.at)
		names = append(names, w)
		return err
	}, "SELECT repository, name, at FROM pending ORDER BY at, repository, name")
	if err != nil {
		return all, err
	}
	runs := map[int64]*run{}
	for _, w := range names {
		source := sourceOf(sources, w.repository)
		if source == nil {
			continue
		}
		r := runs[source.ID]
		if r == nil {
			r = &run{Syncer: s, source: *source, began: s.Catalog.now()}
			runs[source.ID] = r
			all.Sources++
		}
		if err := r.pending(ctx, w); err != nil {
			return all, err
		}
	}
	for _, r := range runs {
		all.add(r.summary)
		if r.failed != nil {
			all.Failed = append(all.Failed, Failure{r.source.String(), r.failed.Error()})
		}
	}
	return all, nil
}

// pending looks at one announced name, or at all of a repository in which something
// without a tag has changed.
func (r *run) pending(ctx context.Context, w waiting) error {
	named, err := reference.ParseNormalizedNamed(w.repository)
	if err != nil {
		return r.Catalog.forget(ctx, w)
	}
	tags := []string{w.name}
	if w.name == "" {
		if tags, err = r.Catalog.expire(ctx, w.repository); err != nil {
			return err
		}
	}
	before := r.notRead
	for _, tag := range tags {
		if err := r.name(ctx, name{named, tag}); err != nil {
			return err
		}
	}
	if r.notRead != before {
		return nil // it is looked at again by the next sync
	}
	return r.Catalog.forget(ctx, w)
}

// forget ends the wait of a name, unless it was announced again meanwhile.
func (c *Catalog) forget(ctx context.Context, w waiting) error {
	return c.tx(ctx, func(t *tx) error {
		return t.exec("DELETE FROM pending WHERE repository = ? AND name = ? AND at = ?", w.repository, w.name, w.at)
	})
}

// expire makes the lists of artifacts of a repository old, and returns its names.
func (c *Catalog) expire(ctx context.Context, repository string) (names []string, err error) {
	err = c.tx(ctx, func(t *tx) error {
		names = nil
		if err := t.exec("UPDATE subject SET checked = 0 WHERE repository IN (SELECT id FROM repository WHERE name = ?)", repository); err != nil {
			return err
		}
		return t.each(func(scan func(...any) error) error {
			var one string
			err := scan(&one)
			names = append(names, one)
			return err
		}, "SELECT t.name FROM tag t JOIN repository r ON r.id = t.repository WHERE r.name = ? AND t.gone = 0 ORDER BY t.name", repository)
	})
	return names, err
}
