package catalog

import (
	"context"
	"sort"
	"time"

	"github.com/opencontainers/go-digest"
)

// Change is something that happened to a name.
type Change struct {
	At     time.Time     `json:"at"`
	What   string        `json:"what"` // new, moved, gone, artifact added, artifact signed, artifact gone
	Name   string        `json:"name"`
	Before digest.Digest `json:"before,omitempty"`
	After  digest.Digest `json:"after,omitempty"`
}

// Changes lists what happened after a time and not after another one, by time and name.
func (c *Catalog) Changes(ctx context.Context, from, to time.Time) ([]Change, error) {
	all := []Change{}
	add := func(scan func(...any) error) error {
		var change Change
		var at int64
		err := scan(&at, &change.What, &change.Name, &change.Before, &change.After)
		change.At = when(at)
		all = append(all, change)
		return err
	}
	const moves = "SELECT h.at, CASE WHEN h.after IS NULL THEN 'gone' WHEN h.before IS NULL THEN 'new' ELSE 'moved' END, " + nameColumn +
		", COALESCE(b.digest, ''), COALESCE(a.digest, '') FROM move h JOIN tag t ON t.id = h.tag JOIN repository r ON r.id = t.repository " +
		"LEFT JOIN manifest b ON b.id = h.before LEFT JOIN manifest a ON a.id = h.after WHERE h.at > ? AND h.at <= ?"
	if err := c.each(ctx, add, moves, from.Unix(), to.Unix()); err != nil {
		return nil, err
	}
	attached := func(scan func(...any) error) error {
		var change Change
		var at int64
		var packed []byte
		err := scan(&at, &change.What, &change.Name, &packed)
		if change.At = when(at); change.What == "artifact gone" {
			change.Before = unpackDigest(packed)
		} else {
			change.After = unpackDigest(packed)
		}
		all = append(all, change)
		return err
	}
	// An artifact that was there when its image was seen first is not a change.
	const under = " FROM artifact a JOIN subject s ON s.id = a.subject JOIN repository r ON r.id = s.repository JOIN tag t ON t.repository = r.id AND t.gone = 0 " +
		"WHERE (t.manifest = s.manifest OR EXISTS (SELECT 1 FROM variant v WHERE v.repository = t.repository AND v.top = t.manifest AND v.manifest = s.manifest))"
	if err := c.each(ctx, attached, "SELECT DISTINCT a.first_seen, 'artifact added', "+nameColumn+", a.digest"+under+
		" AND a.first_seen > ? AND a.first_seen <= ? AND a.first_seen > t.first_seen", from.Unix(), to.Unix()); err != nil {
		return nil, err
	}
	if err := c.each(ctx, attached, "SELECT DISTINCT a.verified, 'artifact signed', "+nameColumn+", a.digest"+under+
		" AND a.verified > ? AND a.verified <= ? AND a.verified > a.first_seen AND a.signer <> ''", from.Unix(), to.Unix()); err != nil {
		return nil, err
	}
	if err := c.each(ctx, attached, "SELECT DISTINCT a.gone, 'artifact gone', "+nameColumn+", a.digest"+under+
		" AND a.gone > ? AND a.gone <= ?", from.Unix(), to.Unix()); err != nil {
		return nil, err
	}
	sort.SliceStable(all, func(i, j int) bool {
		if !all[i].At.Equal(all[j].At) {
			return all[i].At.Before(all[j].At)
		}
		return all[i].Name < all[j].Name
	})
	return all, nil
}
