package catalog

import (
	"context"
	"time"

	"github.com/imagefit/imagefit/internal/textutil"
)

// putTag keeps that a name is of a manifest now. A name that was of another one has moved.
func (t *tx) putTag(source, repository int64, name string, top int64) error {
	var id, before, gone int64
	found, err := t.get("SELECT id, COALESCE(manifest, 0), gone FROM tag WHERE repository = ? AND name = ?", []any{repository, name}, &id, &before, &gone)
	if err != nil {
		return err
	}
	if !found {
		if id, err = t.newTag(repository, name); err != nil {
			return err
		}
	}
	if before != top || gone != 0 {
		var from any
		if before != 0 && gone == 0 {
			from = before
		}
		if err := t.exec("INSERT INTO move (tag, before, after, at) VALUES (?, ?, ?, ?)", id, from, top, t.now); err != nil {
			return err
		}
	}
	if err := t.exec("UPDATE tag SET manifest = ?, last_seen = ?, checked = ?, gone = 0, error = '' WHERE id = ?", top, t.now, t.now, id); err != nil {
		return err
	}
	return t.putFound(source, id)
}

func (t *tx) newTag(repository int64, name string) (id int64, err error) {
	const insert = "INSERT INTO tag (repository, name, first_seen, last_seen, checked) VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING RETURNING id"
	if found, err := t.get(insert, []any{repository, name, t.now, t.now}, &id); err != nil || found {
		return id, err
	}
	_, err = t.get("SELECT id FROM tag WHERE repository = ? AND name = ?", []any{repository, name}, &id)
	return id, err
}

func (t *tx) putFound(source, tag int64) error {
	return t.exec("INSERT INTO found (source, tag, last_seen) VALUES (?, ?, ?) ON CONFLICT (source, tag) DO UPDATE SET last_seen = excluded.last_seen",
		source, tag, t.now)
}

// known is what the catalog has of a name.
type known struct {
	tag, repository int64
	manifest        int64
	digest          string
	checked         time.Time
	// stale says that a list of referrers is older than it may be.
	stale bool
}

// knownTag returns what is kept of a name, and whether its artifacts were looked up since.
func (c *Catalog) knownTag(ctx context.Context, repository, name string, since time.Time) (k known, found bool, err error) {
	err = c.tx(ctx, func(t *tx) error {
		var checked int64
		found, err = t.get("SELECT t.id, t.repository, COALESCE(t.manifest, 0), COALESCE(m.digest, ''), t.checked FROM tag t JOIN repository r ON r.id = t.repository "+
			"LEFT JOIN manifest m ON m.id = t.manifest WHERE r.name = ? AND t.name = ? AND t.gone = 0",
			[]any{repository, name}, &k.tag, &k.repository, &k.manifest, &k.digest, &checked)
		if err != nil || !found {
			return err
		}
		k.checked = time.Unix(checked, 0)
		k.stale, err = t.isStale(k.repository, k.manifest, since)
		return err
	})
	return k, found, err
}

// isStale tells whether a list of referrers of an image, or of a variant of it, is older.
func (t *tx) isStale(repository, top int64, since time.Time) (bool, error) {
	var old, variants int64
	const query = "SELECT COUNT(*), COALESCE(SUM(CASE WHEN COALESCE(s.checked, 0) < ? THEN 1 ELSE 0 END), 0) FROM variant v " +
		"LEFT JOIN subject s ON s.repository = v.repository AND s.manifest = v.manifest WHERE v.repository = ? AND v.top = ? AND v.reason = ''"
	if _, err := t.get(query, []any{since.Unix(), repository, top}, &variants, &old); err != nil || old > 0 {
		return true, err
	}
	var checked int64
	found, err := t.get("SELECT checked FROM subject WHERE repository = ? AND manifest = ?", []any{repository, top}, &checked)
	return !found || checked < since.Unix(), err
}

// touch keeps that a name is what it was.
func (c *Catalog) touch(ctx context.Context, source, tag int64) error {
	return c.tx(ctx, func(t *tx) error {
		if err := t.exec("UPDATE tag SET last_seen = ?, checked = ?, gone = 0, error = '' WHERE id = ?", t.now, t.now, tag); err != nil {
			return err
		}
		return t.putFound(source, tag)
	})
}

// fail keeps why a name could not be read. What is known of it stays.
func (c *Catalog) fail(ctx context.Context, source int64, repository, name, problem string) error {
	return c.tx(ctx, func(t *tx) error {
		id, err := t.id("repository", "name", repository)
		if err != nil {
			return err
		}
		tag, err := t.newTag(id, name)
		if err != nil {
			return err
		}
		if err := t.exec("UPDATE tag SET error = ? WHERE id = ?", textutil.Line(problem, maxRowProblem), tag); err != nil {
			return err
		}
		return t.putFound(source, tag)
	})
}

// lose keeps that a registry has a name no longer.
func (c *Catalog) lose(ctx context.Context, repository, name string) error {
	return c.tx(ctx, func(t *tx) error {
		var id, manifest int64
		found, err := t.get("SELECT t.id, COALESCE(t.manifest, 0) FROM tag t JOIN repository r ON r.id = t.repository WHERE r.name = ? AND t.name = ? AND t.gone = 0",
			[]any{repository, name}, &id, &manifest)
		if err != nil || !found {
			return err
		}
		return t.lose(id, manifest)
	})
}

func (t *tx) lose(tag, manifest int64) error {
	if err := t.exec("UPDATE tag SET gone = ?, error = '' WHERE id = ?", t.now, tag); err != nil || manifest == 0 {
		return err
	}
	return t.exec("INSERT INTO move (tag, before, after, at) VALUES (?, ?, NULL, ?)", tag, manifest, t.now)
}

// keepOnly keeps that a source has no other names of a repository than those that it
// listed since a time.
func (c *Catalog) keepOnly(ctx context.Context, repository string, listed map[string]bool) (lost int, err error) {
	err = c.tx(ctx, func(t *tx) error {
		lost = 0
		gone := map[int64]int64{}
		err := t.each(func(scan func(...any) error) error {
			var id, manifest int64
			var name string
			err := scan(&id, &name, &manifest)
			if !listed[name] {
				gone[id] = manifest
			}
			return err
		}, "SELECT t.id, t.name, COALESCE(t.manifest, 0) FROM tag t JOIN repository r ON r.id = t.repository "+
			"WHERE r.name = ? AND t.gone = 0 AND t.name NOT LIKE 'sha256:%'", repository)
		if err != nil {
			return err
		}
		for id, manifest := range gone {
			if err := t.lose(id, manifest); err != nil {
				return err
			}
			lost++
		}
		return nil
	})
	return lost, err
}
