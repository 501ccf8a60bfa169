package catalog

import (
	"context"
	"errors"
	"time"
)

// PruneOptions say what a catalog need not keep.
type PruneOptions struct {
	// Gone is before when names, images and artifacts went that are removed.
	Gone time.Time
	// History is before when names came, moved or went, of which that is forgotten.
	History time.Time
	DryRun  bool
}

// Pruned counts what was removed.
type Pruned struct {
	Names     int64 `json:"names"`     // that were gone, or that no source has any more
	Moves     int64 `json:"moves"`     // of the history
	Variants  int64 `json:"variants"`  // of images that no name has
	Artifacts int64 `json:"artifacts"` // that were gone, or of such images
	Bodies    int64 `json:"bodies"`    // that nothing has any more
	Manifests int64 `json:"manifests"`
}

// pruneBatch bounds the rows that a transaction removes, so that a sync need not wait long.
const pruneBatch = 500

// errDryRun undoes a transaction.
var errDryRun = errors.New("nothing is removed")

// pruneStep removes rows of one table; count is what they are to people, or nil.
type pruneStep struct {
	table, key, where string
	args              []any
	count             *int64
}

// steps go from what people see to what nothing refers to then.
func (p *Pruned) steps(o PruneOptions) []pruneStep {
	gone, history := o.Gone.Unix(), o.History.Unix()
	const (
		bases = "SELECT b.id FROM manifest b WHERE b.digest IN (SELECT base_digest FROM manifest WHERE base_digest <> '')"
		named = "EXISTS (SELECT 1 FROM tag t WHERE t.repository = variant.repository AND t.manifest = variant.top)"
		moved = "EXISTS (SELECT 1 FROM move h JOIN tag t ON t.id = h.tag WHERE h.before = variant.top AND t.repository = variant.repository AND h.at >= ?)"
		used  = "SELECT manifest FROM tag WHERE manifest IS NOT NULL UNION SELECT before FROM move WHERE before IS NOT NULL UNION SELECT after FROM move WHERE after IS NOT NULL " +
			"UNION SELECT top FROM variant UNION SELECT manifest FROM variant UNION SELECT within FROM variant WHERE within IS NOT NULL UNION SELECT manifest FROM subject"
		shown = "EXISTS (SELECT 1 FROM variant v WHERE v.repository = subject.repository AND subject.manifest IN (v.top, v.manifest, COALESCE(v.within, 0)))"
	)
	return []pruneStep{
		{"tag", "id", "gone > 0 AND gone < ? OR last_seen < ? AND id NOT IN (SELECT tag FROM found)", []any{gone, gone}, &p.Names},
		{"move", "id", "at < ?", []any{history}, &p.Moves},
		{"variant", "repository, top, position", "top NOT IN (" + bases + ") AND NOT " + named + " AND NOT " + moved, []any{gone}, &p.Variants},
		{"artifact", "subject, digest, position", "gone > 0 AND gone < ?", []any{gone}, &p.Artifacts},
		{"artifact", "subject, digest, position", "subject IN (SELECT id FROM subject WHERE NOT " + shown + ")", nil, &p.Artifacts},
		{"subject", "id", "NOT " + shown, nil, nil},
		{"needs", "id", "id NOT IN (SELECT needs FROM variant WHERE needs IS NOT NULL)", nil, nil},
		{"claim", "id", "id NOT IN (SELECT claim FROM variant WHERE claim IS NOT NULL)", nil, nil},
		{"body", "id", "id NOT IN (SELECT body FROM artifact WHERE body IS NOT NULL UNION SELECT body FROM need WHERE body IS NOT NULL)", nil, &p.Bodies},
		{"manifest", "id", "id NOT IN (" + used + ")", nil, &p.Manifests},
		{"repository", "id", "id NOT IN (SELECT repository FROM tag UNION SELECT repository FROM variant UNION SELECT repository FROM subject)", nil, nil},
	}
}

// Prune removes what went long ago, and the history of long ago. Whatever a name has
// stays, and every step leaves a sound catalog.
func (c *Catalog) Prune(ctx context.Context, o PruneOptions) (p Pruned, err error) {
	if o.DryRun {
		err = c.tx(ctx, func(t *tx) error {
			p = Pruned{}
			for _, step := range p.steps(o) {
				if _, err := t.prune(step, -1); err != nil {
					return err
				}
			}
			return errDryRun
		})
		if errors.Is(err, errDryRun) {
			err = nil
		}
		return p, err
	}
	for _, step := range p.steps(o) {
		for more := true; more; {
			var n int64
			if err := c.tx(ctx, func(t *tx) (err error) {
				n, err = t.prune(step, pruneBatch)
				return err
			}); err != nil {
				return p, err
			}
			more = n == pruneBatch
		}
	}
	if p == (Pruned{}) || c.engine.numbered { // PostgreSQL does it by itself
		return p, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.writer.ExecContext(ctx, "VACUUM")
	return p, c.named(err)
}

// prune removes at most so many rows; a negative limit is none.
func (t *tx) prune(s pruneStep, limit int) (removed int64, err error) {
	args := s.args
	statement := "DELETE FROM " + s.table + " WHERE " + s.where
	if limit >= 0 {
		statement = "DELETE FROM " + s.table + " WHERE (" + s.key + ") IN (SELECT " + s.key + " FROM " + s.table + " WHERE " + s.where + " LIMIT ?)"
		args = append(append([]any{}, args...), limit)
	}
	err = t.each(func(func(...any) error) error {
		removed++
		return nil
	}, statement+" RETURNING 1", args...)
	if err == nil && s.count != nil {
		*s.count += removed
	}
	return removed, err
}
