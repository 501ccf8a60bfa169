package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// Image is an image of the catalog, under all names that it has in one repository.
type Image struct {
	Names []string
	Needs *decision.Needs
}

// imageKey is an index or image in a repository.
type imageKey struct{ repository, top int64 }

// Images returns the images that an expression describes, as decisions are made about
// them, by name. Rules say what is looked at besides artifacts.
func (c *Catalog) Images(ctx context.Context, e *Expression, rules *decision.Rules) ([]Image, error) {
	w := &where{engine: c.engine, now: c.now()}
	condition, err := w.condition(e.root)
	if err != nil {
		return nil, err
	}
	var images []Image
	at := map[imageKey]int{}
	err = c.each(ctx, func(scan func(...any) error) error {
		var key imageKey
		var name, repository, top, priorities, tag string
		var kind int
		if err := scan(&key.repository, &key.top, &name, &repository, &top, &kind, &priorities, &tag); err != nil {
			return err
		}
		i, known := at[key]
		if !known {
			i, at[key] = len(images), len(images)
			n := &decision.Needs{Reference: name, Repository: repository, Priorities: priorities, Attached: map[digest.Digest][]referrers.Artifact{}}
			n.Top = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(top)}
			if kind == kindIndex {
				n.Top.MediaType = ocispec.MediaTypeImageIndex
			}
			images = append(images, Image{Needs: n})
		}
		images[i].Names = append(images[i].Names, name)
		return nil
	}, "SELECT DISTINCT t.repository, t.manifest, "+nameColumn+", r.name, m.digest, m.kind, m.priorities, t.name"+rowsFrom+condition+" ORDER BY r.name, t.name", w.args...)
	if err != nil {
		return nil, err
	}
	all, err := c.attachments(ctx, rules)
	if err != nil {
		return nil, err
	}
	if all.signed != nil {
		if err := c.addSigners(ctx, images, at); err != nil {
			return nil, err
		}
	}
	return images, c.addEntries(ctx, images, at, all, rules)
}

// attachments are what is attached to images: sets that images share, and where signatures
// matter what each manifest has.
type attachments struct {
	sets   map[int64][]referrers.Artifact
	signed map[imageKey][]referrers.Artifact
}

func (c *Catalog) attachments(ctx context.Context, rules *decision.Rules) (all attachments, err error) {
	bodies, err := c.bodies(ctx)
	if err != nil {
		return all, err
	}
	if all.sets, err = c.needSets(ctx, bodies); err == nil && rules.Trust.AnySigned() {
		all.signed, err = c.signedArtifacts(ctx, bodies)
	}
	return all, err
}

// addSigners adds who signed what has a name.
func (c *Catalog) addSigners(ctx context.Context, images []Image, at map[imageKey]int) error {
	return c.each(ctx, func(scan func(...any) error) error {
		var key imageKey
		var name, signer, unsigned string
		err := scan(&key.repository, &key.top, &name, &signer, &unsigned)
		if i, wanted := at[key]; wanted {
			images[i].Needs.Signer, images[i].Needs.Unsigned = signerOf(name, signer), unsigned
		}
		return err
	}, "SELECT repository, manifest, signer, signer_key, unsigned FROM subject")
}

// bodies reads the bodies of artifacts.
func (c *Catalog) bodies(ctx context.Context) (map[int64][]byte, error) {
	bodies := map[int64][]byte{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var id int64
		var text []byte
		err := scan(&id, &text)
		bodies[id] = text
		return err
	}, "SELECT id, text FROM body")
	return bodies, err
}

// needSets reads the sets of artifacts.
func (c *Catalog) needSets(ctx context.Context, bodies map[int64][]byte) (map[int64][]referrers.Artifact, error) {
	sets := map[int64][]referrers.Artifact{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var set, body int64
		var a referrers.Artifact
		if err := scan(&set, &a.Type, &a.MediaType, &body, &a.Layer, &a.Problem); err != nil {
			return err
		}
		a.Body, a.Size, a.Current = bodies[body], int64(len(bodies[body])), true
		sets[set] = append(sets[set], a)
		return nil
	}, "SELECT n.needs, k.artifact, k.layer, COALESCE(n.body, 0), COALESCE(b.digest, ''), n.problem FROM need n JOIN kind k ON k.id = n.kind "+
		"LEFT JOIN body b ON b.id = n.body ORDER BY n.needs, n.position")
	return sets, err
}

// addEntries adds the variants to the images.
func (c *Catalog) addEntries(ctx context.Context, images []Image, at map[imageKey]int, all attachments, rules *decision.Rules) error {
	entries := make([][]*decision.Entry, len(images))
	var bases map[baseKey]baseOf
	var err error
	if rules.InheritBase {
		if bases, err = c.baseNeeds(ctx); err != nil {
			return err
		}
	}
	err = c.each(ctx, func(scan func(...any) error) error {
		var key imageKey
		var v entryRow
		var platform string
		own := imageKey{}
		var within int64
		if err := scan(&key.repository, &key.top, &own.top, &within, &platform, &v.digest, &v.size, &v.kind, &v.reason, &v.claims, &v.needs, &v.environment, &v.base.Name, &v.base.Digest); err != nil {
			return err
		}
		i, wanted := at[key]
		if !wanted {
			return nil
		}
		entry, err := v.entry(images[i].Needs.Top, rules)
		if err != nil {
			return fmt.Errorf("read %s from the catalog: %w", images[i].Needs.Reference, err)
		}
		entry.Inherited = all.inherited(entry, platform, bases, rules)
		entries[i] = append(entries[i], entry)
		if rules.Trust.For(images[i].Needs.Repository).Signed {
			own.repository = key.repository
			all.attach(images[i].Needs, entry, key, own, imageKey{key.repository, within})
		} else if set := all.sets[v.needs]; len(set) > 0 {
			images[i].Needs.Attached[v.digest] = set
		}
		return nil
	}, "SELECT v.repository, v.top, v.manifest, COALESCE(v.within, 0), v.platform, m.digest, m.size, m.kind, v.reason, COALESCE(k.text, ''), COALESCE(v.needs, 0), m.environment, m.base_name, m.base_digest "+
		"FROM variant v JOIN manifest m ON m.id = v.manifest LEFT JOIN claim k ON k.id = v.claim ORDER BY v.repository, v.top, v.position")
	if err != nil {
		return err
	}
	for i := range images {
		// A decision reads more from an entry than it shows, as it does of one from a file.
		text, err := json.Marshal(entries[i])
		if err == nil {
			err = json.Unmarshal(text, &images[i].Needs.Entries)
		}
		if err != nil {
			return fmt.Errorf("read %s from the catalog: %w", images[i].Needs.Reference, err)
		}
		for k, e := range images[i].Needs.Entries { // with their bodies, which JSON has not
			e.Inherited, e.Inline = entries[i][k].Inherited, entries[i][k].Inline
		}
	}
	return nil
}

// attach gives an entry, and the index that it is in, what each has itself.
func (all attachments) attach(n *decision.Needs, e *decision.Entry, top, own, within imageKey) {
	of := e.Listed.Digest
	for _, a := range beneath(all.signed[own], all.signed[within]) {
		if isInline(a) {
			e.Inline = append(e.Inline, a)
		} else {
			n.Attached[of] = append(n.Attached[of], a)
		}
	}
	if set := all.signed[top]; len(set) > 0 && top != own {
		n.Attached[n.Top.Digest] = set
	}
}

// entryRow is a variant as the database has it.
type entryRow struct {
	digest                      digest.Digest
	size                        int64
	kind                        int
	reason, claims, environment string
	needs                       int64
	base                        description.Base
}

func (v entryRow) entry(top ocispec.Descriptor, rules *decision.Rules) (*decision.Entry, error) {
	var claims Claims
	if v.claims != "" {
		if err := json.Unmarshal([]byte(v.claims), &claims); err != nil {
			return nil, err
		}
	}
	e := &decision.Entry{Why: v.reason, Artifact: v.kind == kindOther}
	e.Listed.Descriptor = ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: v.digest, Size: v.size, Annotations: claims.Annotations,
	}
	if v.kind == kindIndex { // it was not read
		e.Listed.MediaType, e.Unseen = ocispec.MediaTypeImageIndex, true
	}
	if index.IsIndex(top.MediaType) {
		e.Listed.RawPlatform = claims.Platform
	} else {
		e.Listed.Descriptor, e.Platform = top, claims.Platform
	}
	for _, p := range rules.Prefer {
		if value, ok := claims.Annotations[p.Key]; ok {
			if e.Claims.Annotations == nil {
				e.Claims.Annotations = map[string]string{}
			}
			e.Claims.Annotations[p.Key] = value
		}
	}
	if v.environment != "" && rules.NVIDIARequire {
		if err := json.Unmarshal([]byte(v.environment), &e.Claims.Environment); err != nil {
			return nil, err
		}
	}
	if v.base != (description.Base{}) {
		e.Claims.Base = &v.base
	}
	return e, nil
}
