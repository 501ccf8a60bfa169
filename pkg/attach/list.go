package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	maxLookups = 8  // at the same time
	maxOpened  = 32 // referrers of one manifest that are opened
	maxLayers  = 16 // of one artifact
)

// Listing is what is attached to an image.
type Listing struct {
	Reference string `json:"reference"`
	Holder
	// Entries are those of an index that are images.
	Entries []Holder `json:"entries,omitempty"`
	// OtherEntries are those that are none, such as attestations.
	OtherEntries int `json:"otherEntries,omitempty"`
}

// Holder is a manifest or index that artifacts may be attached to.
type Holder struct {
	Entry     int           `json:"entry"` // position in the index, or None
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Platform  string        `json:"platform,omitempty"`
	Artifacts []Artifact    `json:"artifacts,omitempty"` // the newest first
	// OtherReferrers are signatures, SBOMs and the like, and what is too much to
	// look into.
	OtherReferrers int `json:"otherReferrers,omitempty"`
}

// Artifact is one body of a compatibility artifact.
type Artifact struct {
	Digest       digest.Digest `json:"digest"` // of the manifest
	ArtifactType string        `json:"artifactType"`
	LayerType    string        `json:"layerType,omitempty"`
	Layer        digest.Digest `json:"layer,omitempty"`
	Dialect      string        `json:"dialect,omitempty"`
	Created      *time.Time    `json:"created,omitempty"`
	// Counts is true for the newest of its type, that is of its artifact type
	// and layer type; and for one that cannot be read while nothing newer can.
	Counts  bool   `json:"counts"`
	Problem string `json:"problem,omitempty"` // why it cannot be read

	descriptor ocispec.Descriptor
}

// List looks up what is attached to an image and each of its entries.
func List(ctx context.Context, repo *registry.Repository, img *Image, in *compat.Interpreter) (*Listing, error) {
	l := &lister{repo: repo, interpreter: in}
	listing := &Listing{Reference: img.Reference.String()}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxLookups)
	group.Go(func() (err error) {
		listing.Holder, err = l.holder(ctx, Subject{img.Top, None})
		return err
	})
	var subjects []Subject
	for i, e := range img.Entries {
		if IsImage(e) {
			subjects = append(subjects, Subject{e, i})
		}
	}
	listing.OtherEntries = len(img.Entries) - len(subjects)
	listing.Entries = make([]Holder, len(subjects))
	for i, s := range subjects {
		group.Go(func() (err error) {
			listing.Entries[i], err = l.holder(ctx, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return listing, nil
}

// Attached looks up what is attached to one subject.
func Attached(ctx context.Context, repo *registry.Repository, subject Subject, in *compat.Interpreter) (Holder, error) {
	return (&lister{repo: repo, interpreter: in}).holder(ctx, subject)
}

type lister struct {
	repo        *registry.Repository
	interpreter *compat.Interpreter
}

func (l *lister) holder(ctx context.Context, subject Subject) (Holder, error) {
	d := subject.Descriptor
	h := Holder{Entry: subject.Entry, Digest: d.Digest, MediaType: clean(d.MediaType)}
	if subject.Entry != None {
		h.Platform = PlatformName(d.Platform)
	}
	referrers, err := l.repo.Referrers(ctx, d)
	if err != nil {
		return Holder{}, err
	}
	likely := compat.LikelyArtifacts(referrers)
	for _, r := range likely[:min(len(likely), maxOpened)] {
		artifacts, err := l.open(ctx, d, r)
		if err != nil {
			return Holder{}, err
		}
		if len(artifacts) > 0 {
			h.Artifacts = append(h.Artifacts, artifacts...)
			h.OtherReferrers--
		}
	}
	h.OtherReferrers += len(referrers)
	rank(h.Artifacts)
	return h, nil
}

// open reads one referrer: each body of a compatibility artifact, or nothing.
// Only a registry that does not answer is an error.
func (l *lister) open(ctx context.Context, subject, referrer ocispec.Descriptor) ([]Artifact, error) {
	known := Artifact{Digest: referrer.Digest, ArtifactType: clean(referrer.ArtifactType), descriptor: referrer}
	broken := func(problem string) []Artifact {
		if !compat.IsArtifactType(referrer.ArtifactType) {
			return nil // some other referrer, not ours to judge
		}
		known.Problem = clean(problem)
		return []Artifact{known}
	}
	text, err := l.repo.Manifest(ctx, referrer)
	if isOfContent(err) {
		return broken(err.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return broken("read manifest: " + err.Error()), nil
	}
	m.ArtifactType = compat.TypeOf(m)
	if !compat.IsArtifactType(m.ArtifactType) {
		return nil, nil
	}
	known.ArtifactType = m.ArtifactType
	if m.Subject == nil || m.Subject.Digest != subject.Digest {
		known.Problem = "its subject is not the manifest it was found under"
		return []Artifact{known}, nil
	}
	if at := compat.CreatedAt(m.Annotations); !at.IsZero() {
		known.Created = &at
	}
	return l.bodies(ctx, known, m)
}

func (l *lister) bodies(ctx context.Context, known Artifact, m ocispec.Manifest) ([]Artifact, error) {
	if len(m.Layers) > maxLayers {
		known.Problem = fmt.Sprintf("it has %d layers, more than %d", len(m.Layers), maxLayers)
		return []Artifact{known}, nil
	}
	var artifacts []Artifact
	for _, layer := range m.Layers {
		if _, ok := compat.Detect(m.ArtifactType, layer.MediaType, nil); !ok {
			continue
		}
		a := known
		a.Layer, a.LayerType = layer.Digest, clean(layer.MediaType)
		body, err := l.repo.Blob(ctx, layer)
		if err != nil && !isOfContent(err) {
			return nil, err
		}
		if err == nil {
			a.Dialect, err = l.dialect(m.ArtifactType, layer.MediaType, body)
		}
		if err != nil {
			a.Problem = clean(err.Error())
		}
		artifacts = append(artifacts, a)
	}
	if len(artifacts) == 0 {
		known.Problem = "none of its layers has a media type that is read"
		artifacts = []Artifact{known}
	}
	return artifacts, nil
}

func (l *lister) dialect(artifactType, layerType string, body []byte) (string, error) {
	d, _ := compat.Detect(artifactType, layerType, body)
	_, err := d.Parse(l.interpreter, body)
	return d.Name, err
}

// isOfContent tells an artifact that is wrong from a registry that does not
// answer.
func isOfContent(err error) bool {
	return errors.Is(err, registry.ErrTooLarge) || errors.Is(err, registry.ErrCorrupt) || errors.Is(err, registry.ErrNotFound)
}
