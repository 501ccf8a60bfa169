package catalog

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Row is a variant of an image under one name.
type Row struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"` // of the index or image that the name is of
	Platform  string        `json:"platform,omitempty"`
	Variant   digest.Digest `json:"variant"` // manifest
	Size      int64         `json:"size,omitempty"`
	Created   time.Time     `json:"created,omitzero"`
	FirstSeen time.Time     `json:"first_seen"`
	LastSeen  time.Time     `json:"last_seen"`
	Artifacts int           `json:"artifacts"`
	SignedBy  []string      `json:"signed_by,omitempty"` // names of keys
	needs     int64

	repository, tag string
	position        int64
}

const rowsFrom = " FROM tag t JOIN repository r ON r.id = t.repository JOIN manifest m ON m.id = t.manifest " +
	"JOIN variant v ON v.repository = t.repository AND v.top = t.manifest JOIN manifest c ON c.id = v.manifest " +
	"WHERE t.gone = 0 AND v.reason = '' AND "

// Query returns the variants that an expression describes, by name. limit bounds them; 0 is
// no limit.
func (c *Catalog) Query(ctx context.Context, e *Expression, limit int) ([]Row, error) {
	w := &where{engine: c.engine, now: c.now()}
	condition, err := w.condition(e.root)
	if err != nil {
		return nil, err
	}
	const columns = "SELECT r.name, t.name, v.position, m.digest, v.platform, c.digest, c.content, c.created, t.first_seen, t.last_seen, " +
		"COALESCE(v.needs, 0), v.repository, v.manifest, v.top"
	artifacts, err := c.artifactCounts(ctx)
	if err != nil {
		return nil, err
	}
	signers, err := c.signersOf(ctx)
	if err != nil {
		return nil, err
	}
	rows := []Row{}
	err = c.each(ctx, func(scan func(...any) error) error {
		var r Row
		var created, first, last int64
		var variant, top imageKey
		var of, manifest string // which are read in less time than a digest.Digest is
		err := scan(&r.repository, &r.tag, &r.position, &of, &r.Platform, &manifest, &r.Size, &created, &first, &last, &r.needs, &variant.repository, &variant.top, &top.top)
		top.repository = variant.repository
		r.Artifacts, r.SignedBy = artifacts[r.needs], signedBy(signers, variant, top)
		r.Created, r.FirstSeen, r.LastSeen = when(created), when(first), when(last)
		r.Digest, r.Variant = digest.Digest(of), digest.Digest(manifest)
		r.Name = nameOf(r.repository, r.tag)
		rows = append(rows, r)
		return err
	}, columns+rowsFrom+condition, w.args...)
	slices.SortFunc(rows, func(a, b Row) int { // in less time than the database takes
		return cmp.Or(strings.Compare(a.repository, b.repository), strings.Compare(a.tag, b.tag), cmp.Compare(a.position, b.position))
	})
	if limit > 0 {
		rows = rows[:min(limit, len(rows))]
	}
	return rows, err
}

// nameOf is a name as people write it, like nameColumn.
func nameOf(repository, tag string) string {
	if strings.HasPrefix(tag, "sha256:") {
		return repository + "@" + tag
	}
	return repository + ":" + tag
}

// artifactCounts counts the artifacts of each set.
func (c *Catalog) artifactCounts(ctx context.Context) (map[int64]int, error) {
	counts := map[int64]int{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var set int64
		var n int
		err := scan(&set, &n)
		counts[set] = n
		return err
	}, "SELECT needs, COUNT(*) FROM need GROUP BY needs")
	return counts, err
}

// Attributes lists the attributes that artifacts of the catalog have, which begin with a
// text, with how many variants have each.
func (c *Catalog) Attributes(ctx context.Context, prefix string, limit int) (map[string]int, error) {
	all := map[string]int{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var key string
		var n int
		err := scan(&key, &n)
		all[key] = n
		return err
	}, "SELECT a.key, COUNT(DISTINCT n.needs) FROM attribute a JOIN need n ON n.body = a.body WHERE a.key >= ? AND a.key < ? GROUP BY a.key ORDER BY a.key LIMIT ?",
		prefix, prefix+"\uffff", limit)
	return all, err
}

// Words lists what a condition of a query can begin with.
func Words() []string { return words() }

// Field is a field of queries, for the documentation and the help.
type Field struct{ Name, About, Operators string }

// Fields lists the fields of queries.
func Fields() []Field {
	var all []Field
	for _, f := range fields() {
		ops := ""
		for _, op := range f.ops() {
			ops += " " + op
		}
		all = append(all, Field{f.name, f.about, ops[1:]})
	}
	return all
}

// IsVerb reports whether a word asks for an attribute.
func IsVerb(word string) bool { return isVerb(word) }
