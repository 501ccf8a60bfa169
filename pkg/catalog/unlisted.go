package catalog

import (
	"context"
	"time"

	"github.com/distribution/reference"
)

// unlisted looks after the names that the source had once and did not list this time,
// where it was read as a whole. Of a registry each is asked for: one that does not list a
// repository any more may have deleted it, or may not list it to this account. What a
// folder lacks is gone. An image that a list, a node or a cluster lacks is only not in use
// there.
func (r *run) unlisted(ctx context.Context) error {
	if r.source.Kind != FromRegistry && r.source.Kind != FromDir {
		return r.Catalog.tx(ctx, func(t *tx) error {
			return t.exec("DELETE FROM found WHERE source = ? AND last_seen < ?", r.source.ID, r.began.Unix())
		})
	}
	names, err := r.Catalog.notSeen(ctx, r.source.ID, r.began)
	for _, n := range names {
		if err != nil {
			break
		}
		if r.source.Kind == FromDir {
			r.summary.Gone++
			err = r.Catalog.lose(ctx, n[0], n[1])
			continue
		}
		named, malformed := reference.ParseNormalizedNamed(n[0])
		if malformed == nil {
			err = r.name(ctx, name{named, n[1]})
		}
	}
	if err == nil {
		err = r.failed
	}
	return err
}

// notSeen lists the names, each with its repository, that a source had and that were not
// seen there since a time.
func (c *Catalog) notSeen(ctx context.Context, source int64, since time.Time) (all [][2]string, err error) {
	err = c.each(ctx, func(scan func(...any) error) error {
		var one [2]string
		err := scan(&one[0], &one[1])
		all = append(all, one)
		return err
	}, "SELECT r.name, t.name FROM found f JOIN tag t ON t.id = f.tag JOIN repository r ON r.id = t.repository "+
		"WHERE f.source = ? AND f.last_seen < ? AND t.gone = 0 ORDER BY r.name, t.name", source, since.Unix())
	return all, err
}
