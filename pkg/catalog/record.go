package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// maxBody bounds the body of an artifact that is kept.
const maxBody = 1 << 20

// record keeps what a source has of a name.
func (c *Catalog) record(ctx context.Context, x *Indexer, source int64, o *Observed) error {
	return c.tx(ctx, func(t *tx) error { return t.record(x, source, o) })
}

func (t *tx) record(x *Indexer, source int64, o *Observed) error {
	repository, err := t.id("repository", "name", o.Repository)
	if err != nil {
		return err
	}
	top, err := t.putManifest(&o.Top, o.Priorities)
	if err != nil {
		return err
	}
	manifests := map[digest.Digest]int64{o.Top.Digest: top}
	for i := range o.Variants {
		m := &o.Variants[i].Manifest
		if _, known := manifests[m.Digest]; !known {
			if manifests[m.Digest], err = t.putManifest(m, ""); err != nil {
				return err
			}
		}
	}
	own := map[digest.Digest][]need{}
	for i := range o.Subjects {
		s := &o.Subjects[i]
		id, known := manifests[s.Digest]
		if !known { // an index within the index
			if id, err = t.putManifest(&Manifest{Digest: s.Digest, Index: true}, ""); err != nil {
				return err
			}
			manifests[s.Digest] = id
		}
		if own[s.Digest], err = t.putSubject(x, repository, id, s); err != nil {
			return err
		}
	}
	if err := t.putVariants(repository, top, o, manifests, own); err != nil {
		return err
	}
	if o.Name == "" { // a base image
		return nil
	}
	return t.putTag(source, repository, o.Name, top)
}

// putManifest keeps a manifest once. What was not read when it was seen first is added.
func (t *tx) putManifest(m *Manifest, priorities string) (int64, error) {
	kind := kindImage
	if m.Index {
		kind = kindIndex
	} else if m.Other {
		kind = kindOther
	}
	var id, created int64
	var config, problem string
	found, err := t.get("SELECT id, config, created, problem FROM manifest WHERE digest = ?", []any{m.Digest.String()}, &id, &config, &created, &problem)
	if err != nil {
		return 0, err
	}
	read := m.Config != "" || m.Index && m.Size > 0
	environment, err := m.environment()
	if err != nil {
		return 0, err
	}
	args := []any{
		kind, m.Size, m.Content, m.Config.String(), unix(m.Created), m.Base.Name, m.Base.Digest.String(),
		textutil.Cut(priorities, maxReason), environment, textutil.Line(m.Problem, maxRowProblem), m.Digest.String(),
	}
	if found {
		if config != "" || !read && m.Problem == problem {
			return id, nil
		}
		return id, t.exec("UPDATE manifest SET kind = ?, size = ?, content = ?, config = ?, created = ?, base_name = ?, base_digest = ?, "+
			"priorities = ?, environment = ?, problem = ? WHERE digest = ?", args...)
	}
	const insert = "INSERT INTO manifest (kind, size, content, config, created, base_name, base_digest, priorities, environment, problem, digest) " +
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id"
	if found, err = t.get(insert, args, &id); err != nil || found {
		return id, err
	}
	_, err = t.get("SELECT id FROM manifest WHERE digest = ?", []any{m.Digest.String()}, &id)
	return id, err
}

func (m *Manifest) environment() (string, error) {
	if len(m.Environment) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m.Environment)
	return string(text), err
}

// maxReason bounds texts of an index that are kept as they are.
const maxReason = 4 << 10

func unix(t time.Time) int64 {
	if t.IsZero() || t.Year() > 9999 || t.Year() < 1 {
		return 0
	}
	return t.Unix()
}

// need is one artifact that counts for a manifest.
type need struct {
	kind    int64
	types   referrers.Kind
	body    int64
	digest  string // of the body
	problem string
}

// putSubject keeps the artifacts of a manifest, and returns those that are current.
func (t *tx) putSubject(x *Indexer, repository, manifest int64, s *Subject) ([]need, error) {
	id, err := t.id("subject", "repository, manifest", repository, manifest)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Fresh:
	case s.Unchanged:
		if err := t.exec("UPDATE subject SET checked = ? WHERE id = ?", t.now, id); err != nil {
			return nil, err
		}
	default:
		if err := t.putArtifacts(x, id, s); err != nil {
			return nil, err
		}
		signer, key, unsigned := signerColumns(s.Signer, s.Unsigned)
		if err := t.exec("UPDATE subject SET checked = ?, listing = ?, others = ?, signer = ?, signer_key = ?, unsigned = ? WHERE id = ?",
			t.now, s.Listing, s.Others, signer, key, unsigned, id); err != nil {
			return nil, err
		}
	}
	var current []need
	err = t.each(func(scan func(...any) error) error {
		var n need
		err := scan(&n.kind, &n.types.Artifact, &n.types.Layer, &n.body, &n.digest, &n.problem)
		current = append(current, n)
		return err
	}, "SELECT a.kind, k.artifact, k.layer, COALESCE(a.body, 0), COALESCE(b.digest, ''), a.problem FROM artifact a "+
		"JOIN kind k ON k.id = a.kind LEFT JOIN body b ON b.id = a.body WHERE a.subject = ? AND a.gone = 0 AND a.current = 1", id)
	return current, err
}

// putArtifacts keeps a list of artifacts: new ones are added, and those that are not
// listed any more are gone.
func (t *tx) putArtifacts(x *Indexer, subject int64, s *Subject) error {
	if err := t.exec("UPDATE artifact SET gone = ? WHERE subject = ? AND gone = 0", t.now, subject); err != nil {
		return err
	}
	positions := map[digest.Digest]int{}
	for i := range s.Artifacts {
		a := &s.Artifacts[i]
		position := positions[a.Manifest]
		positions[a.Manifest]++
		current := a.Current
		if i < len(s.Together) {
			current = s.Together[i]
		}
		kind, err := t.id("kind", "artifact, layer", textutil.Line(a.Type, maxValue), textutil.Line(a.MediaType, maxValue))
		if err != nil {
			return err
		}
		var body any
		problem := a.Problem
		text, err := a.Text(a.Body)
		if err != nil && problem == "" {
			problem = err.Error()
		}
		switch {
		case problem != "":
		case len(text) > maxBody:
			problem = fmt.Sprintf("it has %d bytes, more than the %d that a catalog keeps", len(text), maxBody)
		default:
			if body, err = t.putBody(x, a.Layer.String(), a.Type, a.MediaType, text); err != nil {
				return err
			}
		}
		if err := t.putArtifact(subject, a, position, kind, body, current, problem); err != nil {
			return err
		}
	}
	return nil
}

// putArtifact keeps one body of an artifact, and who signed it.
func (t *tx) putArtifact(subject int64, a *referrers.Artifact, position int, kind int64, body any, current bool, problem string) error {
	const upsert = "INSERT INTO artifact (subject, digest, position, kind, body, created, current, first_seen, problem, apart, signer, signer_key, unsigned, verified) " +
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (subject, digest, position) DO UPDATE SET gone = 0, current = excluded.current, " +
		"body = excluded.body, problem = excluded.problem, apart = excluded.apart, signer = excluded.signer, signer_key = excluded.signer_key, unsigned = excluded.unsigned, " +
		"verified = CASE WHEN artifact.signer_key = excluded.signer_key THEN artifact.verified ELSE excluded.verified END"
	signer, key, unsigned := signerColumns(a.Signer, a.Unsigned)
	verified := int64(0)
	if a.Signer != nil {
		verified = t.now
	}
	return t.exec(upsert, subject, packDigest(a.Manifest), position, kind, body, unix(a.Created), number(current), t.now,
		textutil.Line(problem, maxRowProblem), number(a.Current), signer, key, textutil.Line(unsigned, maxRowProblem), verified)
}

// packDigest is a digest in as few bytes as it takes: there are many of artifacts.
func packDigest(d digest.Digest) []byte {
	if hexadecimal, ok := strings.CutPrefix(d.String(), "sha256:"); ok {
		if packed, err := hex.DecodeString(hexadecimal); err == nil && len(packed) == sha256.Size {
			return packed
		}
	}
	return []byte(textutil.Cut(d.String(), maxValue))
}

func unpackDigest(packed []byte) digest.Digest {
	if len(packed) == sha256.Size {
		return digest.NewDigestFromBytes(digest.SHA256, packed)
	}
	return digest.Digest(packed)
}

// putVariants keeps what an index lists, and of each image what it needs: its own
// artifacts, and those of the indexes that it is in, of whose kind it has none.
func (t *tx) putVariants(repository, top int64, o *Observed, manifests map[digest.Digest]int64, own map[digest.Digest][]need) error {
	for i := range o.Variants {
		v := &o.Variants[i]
		all := own[v.Manifest.Digest]
		for _, within := range slices.Backward(v.within) {
			all = overlay(all, own[within])
		}
		if o.Top.Index {
			all = overlay(all, own[o.Top.Digest])
		}
		needs, err := t.putNeeds(all)
		if err != nil {
			return err
		}
		claim, err := t.putClaims(v.Claims)
		if err != nil {
			return err
		}
		var within any
		if id, known := manifests[v.Within]; known && v.Within != "" {
			within = id
		}
		const upsert = "INSERT INTO variant (repository, top, position, manifest, within, platform, claim, needs, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) " +
			"ON CONFLICT (repository, top, position) DO UPDATE SET needs = excluded.needs, claim = excluded.claim, platform = excluded.platform, reason = excluded.reason"
		if err := t.exec(upsert, repository, top, i, manifests[v.Manifest.Digest], within, textutil.Line(v.Platform, maxValue), claim, needs,
			textutil.Line(v.Reason, maxRowProblem)); err != nil {
			return err
		}
	}
	return nil
}

// overlay adds the artifacts of an index of whose kind there are none nearer.
func overlay(own, common []need) []need {
	kinds := map[int64]bool{}
	for _, n := range own {
		kinds[n.kind] = true
	}
	all := slices.Clip(own)
	for _, n := range common {
		if !kinds[n.kind] {
			all = append(all, n)
		}
	}
	return all
}

// putNeeds keeps a set of artifacts once, whatever images share it; nil is no artifact.
func (t *tx) putNeeds(all []need) (any, error) {
	if len(all) == 0 {
		return nil, nil //nolint:nilnil // NULL
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b need) int {
		return cmp.Or(cmp.Compare(a.types.Artifact, b.types.Artifact), cmp.Compare(a.types.Layer, b.types.Layer),
			cmp.Compare(a.digest, b.digest), cmp.Compare(a.problem, b.problem))
	})
	var text strings.Builder
	for _, n := range all {
		fmt.Fprintf(&text, "%s\n%s\n%s\n%s\n\n", n.types.Artifact, n.types.Layer, n.digest, n.problem)
	}
	key := digest.FromString(text.String()).Encoded()
	var id int64
	if found, err := t.get("SELECT id FROM needs WHERE digest = ?", []any{key}, &id); err != nil || found {
		return id, err
	}
	id, err := t.id("needs", "digest", key)
	if err != nil {
		return nil, err
	}
	for i, n := range all {
		var body any
		if n.body != 0 {
			body = n.body
		}
		if err := t.exec("INSERT INTO need (needs, position, kind, body, problem) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			id, i, n.kind, body, n.problem); err != nil {
			return nil, err
		}
	}
	return id, nil
}

func (t *tx) putClaims(c Claims) (any, error) {
	if c.isEmpty() {
		return nil, nil //nolint:nilnil // NULL
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := digest.FromBytes(text).Encoded()
	var id int64
	if found, err := t.get("SELECT id FROM claim WHERE digest = ?", []any{key}, &id); err != nil || found {
		return id, err
	}
	if found, err := t.get("INSERT INTO claim (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id", []any{key, string(text)}, &id); err != nil || found {
		return id, err
	}
	_, err = t.get("SELECT id FROM claim WHERE digest = ?", []any{key}, &id)
	return id, err
}
