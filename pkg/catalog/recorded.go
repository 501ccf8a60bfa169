package catalog

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// recordedOf implements recorded for one repository.
type recordedOf struct {
	*Catalog
	repository string
	since      time.Time // lists of referrers are current from here on
	keys       keyring
}

func (r recordedOf) hasManifest(ctx context.Context, d digest.Digest) (known bool, err error) {
	err = r.tx(ctx, func(t *tx) error {
		var config string
		found, err := t.get("SELECT config FROM manifest WHERE digest = ?", []any{d.String()}, &config)
		known = found && config != ""
		return err
	})
	return known, ofDatabase(err)
}

func (r recordedOf) listingOf(ctx context.Context, d digest.Digest) (listing string, fresh bool, err error) {
	err = r.tx(ctx, func(t *tx) error {
		var checked int64
		found, err := t.get("SELECT s.listing, s.checked FROM subject s JOIN repository r ON r.id = s.repository JOIN manifest m ON m.id = s.manifest "+
			"WHERE r.name = ? AND m.digest = ?", []any{r.repository, d.String()}, &listing, &checked)
		fresh = found && checked >= r.since.Unix()
		return err
	})
	return listing, fresh, ofDatabase(err)
}

// refresh asks for the lists of referrers of a recorded image that are not current. It
// reports false where one is another than the recorded one, so that the image must be
// read.
func (r recordedOf) refresh(ctx context.Context, repo referrers.Repository, k known) (same bool, err error) {
	type listed struct {
		id, manifest int64
		digest, list string
		size         int64
	}
	var old []listed
	err = r.each(ctx, func(scan func(...any) error) error {
		var l listed
		err := scan(&l.id, &l.manifest, &l.digest, &l.list, &l.size)
		old = append(old, l)
		return err
	}, "SELECT DISTINCT s.id, m.id, m.digest, s.listing, m.size FROM subject s JOIN manifest m ON m.id = s.manifest WHERE s.repository = ? AND s.checked < ? AND "+
		"(s.manifest = ? OR s.manifest IN (SELECT manifest FROM variant WHERE repository = ? AND top = ?) "+
		"OR s.manifest IN (SELECT within FROM variant WHERE repository = ? AND top = ?))",
		k.repository, r.since.Unix(), k.manifest, k.repository, k.manifest, k.repository, k.manifest)
	if err != nil {
		return false, ofDatabase(err)
	}
	if len(old) == 0 { // another name of the same image was looked at meanwhile
		err := r.tx(ctx, func(t *tx) error {
			stale, err := t.isStale(k.repository, k.manifest, r.since)
			same = !stale
			return err
		})
		return same, ofDatabase(err)
	}
	var current []int64
	for _, l := range old {
		subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(l.digest), Size: l.size}
		lists, err := r.keys.lists(ctx, repo, subject, l.manifest == k.manifest)
		if err != nil {
			return false, err
		}
		if lists.key() != l.list {
			return false, nil
		}
		current = append(current, l.id)
	}
	err = r.tx(ctx, func(t *tx) error {
		for _, id := range current {
			if err := t.exec("UPDATE subject SET checked = ? WHERE id = ?", t.now, id); err != nil {
				return err
			}
		}
		return nil
	})
	return err == nil, ofDatabase(err)
}

var _ referrers.Repository = (*registry.Repository)(nil)
