package catalog

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxBases bounds the base images of one image that are read.
const maxBases = 16

// bases reads what is attached to the base images of a name. What is wrong with one does
// not matter to the image.
func (r *run) bases(ctx context.Context, n name) error {
	if !r.InheritBase {
		return nil
	}
	all, err := r.Catalog.basesOf(ctx, n.repository.Name(), n.tag)
	if err != nil {
		return ofDatabase(err)
	}
	for _, base := range all {
		if err := r.base(ctx, n, base); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.Log.Warn("cannot look up what the base image needs", "image", n.repository.Name()+":"+n.tag,
				"base", base.Name, "digest", base.Digest, "error", err)
		}
	}
	return nil
}

// basesOf returns the base images that the variants of a name state.
func (c *Catalog) basesOf(ctx context.Context, repository, tag string) (all []description.Base, err error) {
	err = c.each(ctx, func(scan func(...any) error) error {
		var b description.Base
		err := scan(&b.Name, &b.Digest)
		if all = append(all, b); len(all) > maxBases {
			all = all[:maxBases]
		}
		return err
	}, "SELECT DISTINCT m.base_name, m.base_digest FROM tag t JOIN repository r ON r.id = t.repository "+
		"JOIN variant v ON v.repository = t.repository AND v.top = t.manifest JOIN manifest m ON m.id = v.manifest "+
		"WHERE r.name = ? AND t.name = ? AND t.gone = 0 AND v.reason = '' AND m.base_name <> '' AND m.base_digest <> ''", repository, tag)
	return all, err
}

// base reads one, unless that was done not long ago. It is kept without a name: it is part
// of the image, and no image of the source.
func (r *run) base(ctx context.Context, n name, b description.Base) error {
	named, err := reference.ParseNormalizedNamed(b.Name)
	if err != nil {
		return fmt.Errorf("read reference %q: %w", b.Name, err)
	}
	named = reference.TrimNamed(named)
	recorded := recordedOf{r.Catalog, named.Name(), r.Catalog.now().Add(-r.TTL), r.keysOf(named.Name())}
	old, found, err := recorded.base(ctx, b.Digest)
	if err != nil || found && !old.stale {
		return err
	}
	repo, err := r.baseRepository(ctx, n.repository, named)
	if err != nil {
		return err
	}
	if found {
		if same, err := recorded.refresh(ctx, repo, old); err != nil || same {
			return err
		}
	}
	top, err := repo.Resolve(ctx, b.Digest.String())
	if err != nil {
		return err
	}
	o := &Observed{Repository: named.Name()}
	if err := readImage(ctx, repo, recorded, recorded.keys, o, top); err != nil {
		return err
	}
	return r.Catalog.record(ctx, r.Indexer, r.source.ID, o)
}

// baseRepository opens the repository of a base image. An image chose it: requests reach
// nothing that is inside this machine, and have the credentials of their own registry.
func (r *run) baseRepository(ctx context.Context, of, named reference.Named) (limited, error) {
	from, err := r.repos.get(ctx, r, of)
	if err != nil {
		return limited{}, err
	}
	auth, err := r.Auth(ctx, named)
	if err != nil {
		return limited{}, err
	}
	repo, err := r.Registry.Repository(named, auth)
	if err != nil {
		return limited{}, err
	}
	repo.NamedBy(from.repo)
	return limited{repo, r.Syncer, reference.Domain(named)}, nil
}

// base returns what is recorded of an image by digest.
func (r recordedOf) base(ctx context.Context, d digest.Digest) (k known, found bool, err error) {
	err = r.tx(ctx, func(t *tx) error {
		found, err = t.get("SELECT r.id, m.id FROM repository r JOIN manifest m ON m.digest = ? WHERE r.name = ? AND EXISTS "+
			"(SELECT 1 FROM variant v WHERE v.repository = r.id AND v.top = m.id)", []any{d.String(), r.repository}, &k.repository, &k.manifest)
		if err != nil || !found {
			return err
		}
		k.digest = d.String()
		k.stale, err = t.isStale(k.repository, k.manifest, r.since)
		return err
	})
	return k, found, err
}

// baseKey is an image that others are built on, for a platform; that of an image without
// an index is empty.
type baseKey struct {
	repository string
	digest     digest.Digest
	platform   string
}

// baseOf is where what a base image needs is kept.
type baseOf struct {
	needs    int64
	own, top imageKey
}

// baseNeeds reads where what all recorded base images need is kept.
func (c *Catalog) baseNeeds(ctx context.Context) (map[baseKey]baseOf, error) {
	bases := map[baseKey]baseOf{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var key baseKey
		var kind int
		var base baseOf
		if err := scan(&key.repository, &key.digest, &kind, &key.platform, &base.needs, &base.own.repository, &base.own.top, &base.top.top); err != nil {
			return err
		}
		base.top.repository = base.own.repository
		if kind != kindIndex {
			key.platform = ""
		}
		bases[key] = base
		return nil
	}, "SELECT r.name, t.digest, t.kind, v.platform, COALESCE(v.needs, 0), v.repository, v.manifest, v.top FROM variant v JOIN repository r ON r.id = v.repository "+
		"JOIN manifest t ON t.id = v.top WHERE v.reason = '' AND t.digest IN (SELECT base_digest FROM manifest WHERE base_digest <> '')")
	return bases, err
}

// inherited returns the artifacts of the base image of an entry, as a pull finds them.
func (all attachments) inherited(e *decision.Entry, platform string, bases map[baseKey]baseOf, rules *decision.Rules) []referrers.Artifact {
	if e.Claims.Base == nil {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(e.Claims.Base.Name)
	if err != nil {
		return nil
	}
	key := baseKey{reference.TrimNamed(named).Name(), e.Claims.Base.Digest, platform}
	base, ok := bases[key]
	if !ok {
		key.platform = ""
		base = bases[key]
	}
	set := all.sets[base.needs]
	if rules.Trust.For(key.repository).Signed {
		set = beneath(all.signed[base.own], all.signed[base.top])
	}
	found := make([]referrers.Artifact, len(set))
	for i, a := range set {
		a.Base = textutil.Line(e.Claims.Base.Name, maxValue)
		found[i] = a
	}
	return found
}
