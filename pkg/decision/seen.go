package decision

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// maxSeen bounds what is kept of one manifest. Only who has a trusted key can add to it.
const maxSeen = 32

// seen is what a trusted key signed of a manifest or an index, as its repository had it
// before. Whoever writes to the repository can remove that, or serve an older one in its
// place; what was seen still counts then. Like all state it may be deleted.
type seen struct {
	Artifacts []seenArtifact    `json:"artifacts,omitempty"` // of each kind the newest
	Signer    *referrers.Signer `json:"signer,omitempty"`    // of the index itself
}

type seenArtifact struct {
	referrers.Artifact
	Size int64 `json:"size"` // of the layer
}

func seenKey(repository string, of digest.Digest) string {
	return repository + "@" + of.String() + " seen"
}

func (l *lookup) seen(of digest.Digest) (s seen) {
	if l.ev.Rules.OnlyPresent {
		return seen{}
	}
	if _, err := l.r.cache.Referrers(seenKey(l.name, of), &s); err != nil {
		return seen{} // nothing was seen, or it is damaged
	}
	for i := range s.Artifacts {
		a := &s.Artifacts[i]
		if a.Signer == nil {
			return seen{} // not written by this version
		}
		a.Artifact.Size, a.Created, a.Current, a.Kept = a.Size, a.Signer.Created, true, ""
	}
	return s
}

// note adds what was found, each in the place of an older one of its kind.
func (s *seen) note(found []referrers.Artifact) {
	for _, a := range found {
		at := slices.IndexFunc(s.Artifacts, func(b seenArtifact) bool { return b.Kind() == a.Kind() })
		isNew := seenArtifact{a, a.Size}
		isNew.Body = nil
		switch {
		case a.Signer == nil || a.Problem != "" || a.Kept != "":
		case at < 0 && len(s.Artifacts) < maxSeen:
			s.Artifacts = append(s.Artifacts, isNew)
		case at >= 0 && s.Artifacts[at].Created.Before(a.Created):
			s.Artifacts[at] = isNew
		}
	}
}

// update changes what is kept of a manifest, beside the requests that follow.
func (l *lookup) update(of digest.Digest, change func(*seen)) {
	if l.ev.Rules.OnlyPresent {
		return
	}
	l.keep(func() error {
		l.r.memory.Lock() // a pull at the same time may have seen something newer
		defer l.r.memory.Unlock()
		s := l.seen(of)
		before, _ := json.Marshal(s)
		change(&s)
		if after, err := json.Marshal(s); err != nil || string(before) == string(after) {
			return err
		}
		return l.r.cache.PutReferrers(seenKey(l.name, of), s)
	})
}

// withSeen returns the artifacts of a subject that are current, with those that were seen
// before and are newer than what the registry has now.
func (l *lookup) withSeen(ctx context.Context, of digest.Digest, current []referrers.Artifact) ([]referrers.Artifact, error) {
	if l.keys == nil {
		return current, nil
	}
	before, rule := l.seen(of), l.ev.Rules.Trust.For(l.name)
	known := before
	known.Artifacts = slices.Clone(before.Artifacts)
	if known.note(current); !slices.EqualFunc(known.Artifacts, before.Artifacts, func(a, b seenArtifact) bool { return a.Manifest == b.Manifest }) {
		l.update(of, func(s *seen) { s.note(current) })
	}
	for _, b := range before.Artifacts {
		why := missing(b.Artifact, current)
		if why == "" || doubtsSigner(rule, b.Signer) != "" {
			continue
		}
		current = slices.DeleteFunc(current, func(a referrers.Artifact) bool { return a.Signer != nil && a.Kind() == b.Kind() })
		if err := l.fetchSeen(ctx, b); err != nil {
			return nil, err
		}
		b.Kept = why
		l.r.log.Warn("the registry does not have the newest signed metadata, using that of an earlier pull",
			"repository", l.name, "subject", of, "artifact", b.Manifest, "signed_by", b.Signer.Name, "problem", why)
		current = append(current, b.Artifact)
	}
	return current, nil
}

// missing is why an artifact that was seen before is not superseded by what is there now,
// or "".
func missing(before referrers.Artifact, now []referrers.Artifact) string {
	why := "the registry no longer has it, or not its signature"
	for _, a := range now {
		if a.Signer == nil || a.Problem != "" || a.Kind() != before.Kind() {
			continue
		}
		if !a.Created.Before(before.Created) {
			return ""
		}
		why = "the registry has only an older one, from " + created(a.Created)
	}
	return why
}

// fetchSeen makes the body of an artifact be in the cache, as long as the registry has it.
func (l *lookup) fetchSeen(ctx context.Context, a seenArtifact) error {
	if _, err := l.r.cache.BlobFrom(l.name, a.Layer); err == nil {
		return nil
	}
	mediaType := a.MediaType
	if a.Statement {
		mediaType = trust.BundleType
	}
	_, err := l.Blob(ctx, ocispec.Descriptor{MediaType: mediaType, Digest: a.Layer, Size: a.Size})
	return referrers.IgnoreContent(err)
}
