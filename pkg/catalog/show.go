package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Shown is all that is kept of a name.
type Shown struct {
	Name      string         `json:"name"`
	Digest    digest.Digest  `json:"digest,omitempty"`
	Index     bool           `json:"index"`
	FirstSeen time.Time      `json:"first_seen"`
	LastSeen  time.Time      `json:"last_seen"`
	Gone      time.Time      `json:"gone,omitzero"`
	Error     string         `json:"error,omitempty"` // the last time that it was read
	Sources   []string       `json:"sources,omitempty"`
	Also      []string       `json:"also,omitempty"` // other names of the same digest
	History   []Change       `json:"history,omitempty"`
	Signer    string         `json:"signer,omitempty"`    // of the index, or of the image without one
	Unsigned  string         `json:"unsigned,omitempty"`  // or why no trusted key signed it
	Artifacts []Attached     `json:"artifacts,omitempty"` // of the index
	Variants  []ShownVariant `json:"variants,omitempty"`
}

// ShownVariant is an entry of an index, or the image itself.
type ShownVariant struct {
	Platform  string        `json:"platform,omitempty"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size,omitempty"`
	Created   time.Time     `json:"created,omitzero"`
	Base      string        `json:"base,omitempty"`
	Reason    string        `json:"reason,omitempty"` // why it is not an image for a node
	Problem   string        `json:"problem,omitempty"`
	Requires  []string      `json:"requires,omitempty"`
	Artifacts []Attached    `json:"artifacts,omitempty"`
}

// Attached is an artifact, as it is attached to a manifest.
type Attached struct {
	Digest    digest.Digest `json:"digest"`
	Type      string        `json:"type"`
	Dialect   string        `json:"dialect,omitempty"`
	Current   bool          `json:"current"`
	Created   time.Time     `json:"created,omitzero"`
	FirstSeen time.Time     `json:"first_seen"`
	Gone      time.Time     `json:"gone,omitzero"`
	Problem   string        `json:"problem,omitempty"`
	Signer    string        `json:"signer,omitempty"`
	Unsigned  string        `json:"unsigned,omitempty"` // why no trusted key signed it, where that was asked
	Errors    int           `json:"errors,omitempty"`   // of lint
	Warnings  int           `json:"warnings,omitempty"`
}

// NotFoundError is a name that the catalog does not have.
type NotFoundError struct{ Name, Catalog string }

// Error implements error.
func (e NotFoundError) Error() string {
	return fmt.Sprintf("the catalog %s has no image %s: imagefit catalog query 'name ~ \"*TEXT*\"' searches names", e.Catalog, e.Name)
}

// Show returns all that is kept of an image, by its name in any spelling.
func (c *Catalog) Show(ctx context.Context, name string) (*Shown, error) {
	s := &Shown{Name: name}
	var tag, repository, manifest int64
	spellings := []string{name}
	if named, err := reference.ParseDockerRef(name); err == nil {
		spellings = append(spellings, named.String())
	}
	for _, spelling := range spellings {
		err := c.each(ctx, func(scan func(...any) error) error {
			var kind int
			var first, last, gone int64
			err := scan(&s.Name, &tag, &repository, &manifest, &s.Digest, &kind, &first, &last, &gone, &s.Error)
			s.Index, s.FirstSeen, s.LastSeen, s.Gone = kind == kindIndex, when(first), when(last), when(gone)
			return err
		}, "SELECT "+nameColumn+", t.id, t.repository, COALESCE(t.manifest, 0), COALESCE(m.digest, ''), COALESCE(m.kind, 0), t.first_seen, t.last_seen, t.gone, t.error "+
			"FROM tag t JOIN repository r ON r.id = t.repository LEFT JOIN manifest m ON m.id = t.manifest WHERE "+nameColumn+" = ?", spelling)
		if err != nil {
			return nil, err
		}
	}
	if tag == 0 {
		return nil, NotFoundError{name, c.name}
	}
	if err := c.showNames(ctx, s, tag, manifest); err != nil {
		return nil, err
	}
	if err := c.each(ctx, func(scan func(...any) error) error { return scan(&s.Signer, &s.Unsigned) },
		"SELECT signer, unsigned FROM subject WHERE repository = ? AND manifest = ?", repository, manifest); err != nil {
		return nil, err
	}
	if s.Index {
		var err error
		if s.Artifacts, err = c.attached(ctx, repository, manifest); err != nil {
			return nil, err
		}
	}
	return s, c.showVariants(ctx, s, repository, manifest)
}

// showNames adds where the image was found, its other names, and what happened to it.
func (c *Catalog) showNames(ctx context.Context, s *Shown, tag, manifest int64) error {
	text := func(into *[]string) func(scan func(...any) error) error {
		return func(scan func(...any) error) error {
			var one string
			err := scan(&one)
			*into = append(*into, one)
			return err
		}
	}
	if err := c.each(ctx, text(&s.Sources), "SELECT s.kind || ' ' || s.name FROM found f JOIN source s ON s.id = f.source WHERE f.tag = ? ORDER BY 1", tag); err != nil {
		return err
	}
	if err := c.each(ctx, text(&s.Also), "SELECT "+nameColumn+" FROM tag t JOIN repository r ON r.id = t.repository WHERE t.manifest = ? AND t.id <> ? AND t.gone = 0 "+
		"ORDER BY r.name, t.name LIMIT 100", manifest, tag); err != nil {
		return err
	}
	return c.each(ctx, func(scan func(...any) error) error {
		change := Change{Name: s.Name}
		var at int64
		err := scan(&at, &change.What, &change.Before, &change.After)
		change.At = when(at)
		s.History = append(s.History, change)
		return err
	}, "SELECT h.at, CASE WHEN h.after IS NULL THEN 'gone' WHEN h.before IS NULL THEN 'new' ELSE 'moved' END, COALESCE(b.digest, ''), COALESCE(a.digest, '') "+
		"FROM move h LEFT JOIN manifest b ON b.id = h.before LEFT JOIN manifest a ON a.id = h.after WHERE h.tag = ? ORDER BY h.id DESC LIMIT 100", tag)
}

func (c *Catalog) showVariants(ctx context.Context, s *Shown, repository, top int64) error {
	var manifests, sets []int64
	err := c.each(ctx, func(scan func(...any) error) error {
		var v ShownVariant
		var manifest, needs, created int64
		err := scan(&manifest, &v.Platform, &v.Digest, &v.Size, &created, &v.Base, &v.Reason, &v.Problem, &needs)
		v.Created = when(created)
		s.Variants, manifests, sets = append(s.Variants, v), append(manifests, manifest), append(sets, needs)
		return err
	}, "SELECT m.id, v.platform, m.digest, m.content, m.created, m.base_name, v.reason, m.problem, COALESCE(v.needs, 0) FROM variant v JOIN manifest m ON m.id = v.manifest "+
		"WHERE v.repository = ? AND v.top = ? ORDER BY v.position", repository, top)
	if err != nil {
		return err
	}
	for i := range s.Variants {
		v := &s.Variants[i]
		if v.Artifacts, err = c.attached(ctx, repository, manifests[i]); err != nil {
			return err
		}
		err := c.each(ctx, func(scan func(...any) error) error {
			var key, op, value string
			err := scan(&key, &op, &value)
			v.Requires = append(v.Requires, wanted(key, op, value))
			return err
		}, "SELECT DISTINCT a.key, a.op, a.value FROM need n JOIN attribute a ON a.body = n.body WHERE n.needs = ? AND a.importance = 0 ORDER BY 1, 2, 3 LIMIT 100", sets[i])
		if err != nil {
			return err
		}
	}
	return nil
}

// wanted is an attribute as people write it.
func wanted(key, op, value string) string {
	symbols := map[string]string{"In": "=", "Ge": ">=", "Gt": ">", "Le": "<=", "Lt": "<", "InRegexp": "~"}
	if symbol, ok := symbols[op]; ok {
		return key + " " + symbol + " " + value
	}
	return key
}

func (c *Catalog) attached(ctx context.Context, repository, manifest int64) ([]Attached, error) {
	var all []Attached
	err := c.each(ctx, func(scan func(...any) error) error {
		var a Attached
		var current int
		var created, first, gone int64
		var problem string
		var packed []byte
		err := scan(&packed, &a.Type, &a.Dialect, &current, &created, &first, &gone, &a.Problem, &problem, &a.Signer, &a.Unsigned, &a.Errors, &a.Warnings)
		a.Current, a.Created, a.FirstSeen, a.Gone = current == 1 && gone == 0, when(created), when(first), when(gone)
		if a.Digest = unpackDigest(packed); a.Problem == "" {
			a.Problem = problem
		}
		all = append(all, a)
		return err
	}, "SELECT a.digest, k.artifact, COALESCE(b.dialect, ''), a.current, a.created, a.first_seen, a.gone, a.problem, COALESCE(b.problem, ''), a.signer, a.unsigned, "+
		"COALESCE(b.errors, 0), COALESCE(b.warnings, 0) FROM artifact a JOIN subject s ON s.id = a.subject JOIN kind k ON k.id = a.kind LEFT JOIN body b ON b.id = a.body "+
		"WHERE s.repository = ? AND s.manifest = ? ORDER BY a.gone, a.current DESC, a.created DESC, a.digest LIMIT 100", repository, manifest)
	return all, err
}

// Stats counts what is in a catalog.
type Stats struct {
	Sources      int64 `json:"sources"`
	Repositories int64 `json:"repositories"`
	Names        int64 `json:"names"`
	Gone         int64 `json:"gone"`
	Images       int64 `json:"images"` // indexes, and images without one
	Variants     int64 `json:"variants"`
	WithNeeds    int64 `json:"with_artifacts"` // variants
	Artifacts    int64 `json:"artifacts"`
	Bodies       int64 `json:"bodies"` // that differ
	Attributes   int64 `json:"attributes"`
	Unreadable   int64 `json:"unreadable"` // artifacts
	Signed       int64 `json:"signed"`     // artifacts
	Failing      int64 `json:"failing"`    // names that could not be read the last time
	Pending      int64 `json:"pending"`    // names that a registry announced
	Moves        int64 `json:"moves"`
}

// Stats returns what is in the catalog.
func (c *Catalog) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	for into, query := range map[*int64]string{
		&s.Sources: "source", &s.Repositories: "repository", &s.Names: "tag WHERE gone = 0", &s.Gone: "tag WHERE gone > 0",
		&s.Bodies: "body", &s.Attributes: "attribute", &s.Pending: "pending", &s.Artifacts: "artifact WHERE gone = 0",
		&s.Unreadable: "artifact a LEFT JOIN body b ON b.id = a.body WHERE a.gone = 0 AND (a.problem <> '' OR b.problem <> '')",
		&s.Signed:     "artifact WHERE gone = 0 AND signer <> ''", &s.Failing: "tag WHERE gone = 0 AND error <> ''",
		&s.Moves:     "move WHERE before IS NOT NULL AND after IS NOT NULL",
		&s.Images:    "(SELECT DISTINCT repository, manifest FROM tag WHERE gone = 0 AND manifest IS NOT NULL) x",
		&s.Variants:  "(SELECT DISTINCT v.repository, v.manifest FROM variant v JOIN tag t ON t.repository = v.repository AND t.manifest = v.top WHERE t.gone = 0 AND v.reason = '') x",
		&s.WithNeeds: "(SELECT DISTINCT v.repository, v.manifest FROM variant v JOIN tag t ON t.repository = v.repository AND t.manifest = v.top WHERE t.gone = 0 AND v.reason = '' AND v.needs IS NOT NULL) x",
	} {
		if err := c.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+query).Scan(into); err != nil {
			return s, c.named(err)
		}
	}
	return s, nil
}

// SQL runs a statement that reads, and returns its columns and at most so many rows as
// text. It needs a catalog that was opened read-only.
func (c *Catalog) SQL(ctx context.Context, statement string, limit int) (columns []string, rows [][]string, err error) {
	found, err := c.db.QueryContext(ctx, statement)
	if err != nil {
		return nil, nil, c.named(err)
	}
	defer func() { _ = found.Close() }()
	if columns, err = found.Columns(); err != nil {
		return nil, nil, c.named(err)
	}
	for found.Next() && (limit == 0 || len(rows) < limit) {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, nil, c.named(err)
		}
		row := make([]string, len(columns))
		for i, value := range values {
			switch value := value.(type) {
			case nil:
			case []byte:
				row[i] = string(value)
			default:
				row[i] = fmt.Sprint(value)
			}
		}
		rows = append(rows, row)
	}
	return columns, rows, c.named(found.Err())
}
