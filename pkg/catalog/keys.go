package catalog

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// keysOf are the keys whose signatures are looked for in a repository.
func (s *Syncer) keysOf(repository string) keyring { return s.Trust.For(repository).Keys }

// allKeys are the keys of all rules, by ID.
func allKeys(rules *trust.Rules) map[string]trust.Key {
	all := map[string]trust.Key{}
	if rules == nil {
		return all
	}
	for _, rule := range append(slices.Collect(maps.Values(rules.Repositories)), rules.Rule) {
		for _, key := range rule.Keys {
			all[key.ID] = key
		}
	}
	return all
}

// useKeys keeps of which keys the catalog tells what they signed. With others than before,
// everything is looked at again.
func (t *tx) useKeys(rules *trust.Rules) error {
	ids := strings.Join(slices.Sorted(maps.Keys(allKeys(rules))), " ")
	known, err := t.usedKeys()
	if err != nil || known == ids {
		return err
	}
	if err := t.exec("UPDATE subject SET checked = 0"); err != nil {
		return err
	}
	return t.exec("INSERT INTO meta (name, value) VALUES ('keys', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", ids)
}

func (t *tx) usedKeys() (ids string, err error) {
	_, err = t.get("SELECT value FROM meta WHERE name = 'keys'", nil, &ids)
	return ids, err
}

// UnknownKeys lists the names of the keys of rules of which the catalog does not know what
// they signed: no sync has had them.
func (c *Catalog) UnknownKeys(ctx context.Context, rules *trust.Rules) (names []string, err error) {
	var known string
	err = c.each(ctx, func(scan func(...any) error) error { return scan(&known) }, "SELECT value FROM meta WHERE name = 'keys'")
	for id, key := range allKeys(rules) {
		if !slices.Contains(strings.Fields(known), id) {
			names = append(names, key.Name)
		}
	}
	slices.Sort(names)
	return names, err
}

// signedArtifacts reads what is attached to each manifest as its repository has it, with
// who signed it: what is signed is current beside what is not.
func (c *Catalog) signedArtifacts(ctx context.Context, bodies map[int64][]byte) (map[imageKey][]referrers.Artifact, error) {
	all := map[imageKey][]referrers.Artifact{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var key imageKey
		var a referrers.Artifact
		var body, created int64
		var packed []byte
		var name, signer string
		if err := scan(&key.repository, &key.top, &packed, &a.Type, &a.MediaType, &body, &a.Layer, &a.Problem, &created, &name, &signer, &a.Unsigned); err != nil {
			return err
		}
		a.Body, a.Size, a.Current, a.Created = bodies[body], int64(len(bodies[body])), true, when(created)
		if len(packed) > 0 {
			a.Manifest = unpackDigest(packed)
		}
		if a.Signer = signerOf(name, signer); a.Signer != nil {
			a.Signer.Created = a.Created
		}
		all[key] = append(all[key], a)
		return nil
	}, "SELECT s.repository, s.manifest, a.digest, k.artifact, k.layer, COALESCE(a.body, 0), COALESCE(b.digest, ''), a.problem, a.created, a.signer, a.signer_key, a.unsigned "+
		"FROM artifact a JOIN subject s ON s.id = a.subject JOIN kind k ON k.id = a.kind LEFT JOIN body b ON b.id = a.body "+
		"WHERE a.gone = 0 AND (a.apart = 1 OR a.current = 1) ORDER BY s.id, k.artifact, k.layer, a.digest, a.position")
	return all, err
}

// isInline reports whether an artifact is one that the entry of an index points at.
func isInline(a referrers.Artifact) bool { return a.Manifest == "" && a.Layer != "" }

// beneath adds what is attached to an index within the index to what an image of it has
// itself, each kind for what is signed and what is not.
func beneath(own, common []referrers.Artifact) []referrers.Artifact {
	all := slices.Clone(own)
	for _, a := range common {
		if !slices.ContainsFunc(own, func(o referrers.Artifact) bool {
			return o.Kind() == a.Kind() && (o.Signer != nil) == (a.Signer != nil)
		}) {
			all = append(all, a)
		}
	}
	return all
}

// signersOf reads who signed what is attached to each manifest, by name.
func (c *Catalog) signersOf(ctx context.Context) (map[imageKey][]string, error) {
	all := map[imageKey][]string{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var key imageKey
		var name string
		err := scan(&key.repository, &key.top, &name)
		all[key] = append(all[key], name)
		return err
	}, "SELECT DISTINCT s.repository, s.manifest, a.signer FROM artifact a JOIN subject s ON s.id = a.subject WHERE a.signer <> '' AND a.gone = 0 AND a.apart = 1")
	return all, err
}

// signedBy joins the signers of what is attached to a variant and to its index.
func signedBy(all map[imageKey][]string, variant, top imageKey) []string {
	if len(all) == 0 {
		return nil
	}
	names := slices.Concat(all[variant], all[top])
	slices.Sort(names)
	return slices.Compact(names)
}
