package attach

import (
	"context"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// maxLookups bounds the entries of an index that are looked up at the same time.
const maxLookups = 8

// Listing is what is attached to an image.
type Listing struct {
	Reference string `json:"reference"`
	Holder
	// Entries are those of an index that are images.
	Entries []Holder `json:"entries,omitempty"`
	// OtherEntries counts the others, such as attestations.
	OtherEntries int `json:"otherEntries,omitempty"`
}

// Holder is a manifest or index that artifacts may be attached to.
type Holder struct {
	Entry     int           `json:"entry"` // position in the index, or None
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Platform  string        `json:"platform,omitempty"`
	Artifacts []Artifact    `json:"artifacts,omitempty"` // the newest first
	// OtherReferrers counts signatures, SBOMs and the like, and those of Unopened.
	OtherReferrers int `json:"otherReferrers,omitempty"`
	// Unopened counts the referrers that may be artifacts and are beyond the limit
	// of what is read.
	Unopened int `json:"unopened,omitempty"`
}

// Artifact is one body of a compatibility artifact.
type Artifact struct {
	Digest       digest.Digest `json:"digest"` // of the manifest
	ArtifactType string        `json:"artifactType"`
	LayerType    string        `json:"layerType,omitempty"`
	Layer        digest.Digest `json:"layer,omitempty"`
	Dialect      string        `json:"dialect,omitempty"`
	Created      *time.Time    `json:"created,omitempty"`
	// Counts is true for the newest of its kind, that is of its artifact type
	// and layer type; and for one that cannot be read while nothing newer can.
	Counts bool `json:"counts"`
	// Signer is the key that signed it, where signatures are needed, or Unsigned why it
	// is ignored.
	Signer   string `json:"signer,omitempty"`
	Unsigned string `json:"unsigned,omitempty"`
	Problem  string `json:"problem,omitempty"` // why it cannot be read

	referrer ocispec.Descriptor
}

func (a Artifact) kind() referrers.Kind {
	return referrers.Artifact{Type: a.ArtifactType, MediaType: a.LayerType}.Kind()
}

// List looks up what is attached to an image and each of its entries. keys are those that
// must have signed it, or nil.
func List(ctx context.Context, repo referrers.Repository, img *Image, in *spec.Interpreter, keys *trust.Attempts) (*Listing, error) {
	listing := &Listing{Reference: img.Reference.String()}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxLookups)
	group.Go(func() (err error) {
		listing.Holder, err = attached(ctx, repo, Subject{img.Top, None}, in, keys)
		return err
	})
	subjects := img.Subjects()
	listing.OtherEntries = len(img.Entries) - len(subjects)
	listing.Entries = make([]Holder, len(subjects))
	for i, s := range subjects {
		group.Go(func() (err error) {
			listing.Entries[i], err = attached(ctx, repo, s, in, keys)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return listing, nil
}

// Attached looks up what is attached to one subject, whoever signed it.
func Attached(ctx context.Context, repo referrers.Repository, subject Subject, in *spec.Interpreter) (Holder, error) {
	return attached(ctx, repo, subject, in, nil)
}

func attached(ctx context.Context, repo referrers.Repository, subject Subject, in *spec.Interpreter, keys *trust.Attempts) (Holder, error) {
	d := subject.Descriptor
	h := Holder{Entry: subject.Entry, Digest: d.Digest, MediaType: clean(d.MediaType)}
	if subject.Entry != None {
		h.Platform = index.PlatformName(d.Platform)
	}
	found, err := referrers.DiscoverWith(ctx, repo, d, referrers.Options{Keys: keys})
	if err != nil {
		return Holder{}, err
	}
	h.OtherReferrers, h.Unopened = found.Others, found.Unopened
	for _, a := range found.Artifacts {
		one := view(a, in)
		if keys != nil && a.Signer == nil {
			one.Counts = false
		}
		h.Artifacts = append(h.Artifacts, one)
	}
	return h, nil
}

// view is an artifact as people see it: with the dialect of its body, and what is
// wrong with that.
func view(found referrers.Artifact, in *spec.Interpreter) Artifact {
	a := Artifact{
		Digest: found.Manifest, ArtifactType: clean(found.Type), Layer: found.Layer, LayerType: clean(found.MediaType),
		Counts: found.Current, Problem: found.Problem, referrer: found.Referrer,
	}
	if !found.Created.IsZero() {
		a.Created = &found.Created
	}
	if a.Unsigned = found.Unsigned; found.Signer != nil {
		a.Signer = clean(found.Signer.Name)
	}
	if found.Problem == "" {
		text, err := found.Text(found.Body)
		dialect, _ := dialect.Detect(found.Type, found.MediaType, text)
		a.Dialect = dialect.Name
		if err == nil {
			_, err = dialect.Parse(in, text)
		}
		if err != nil {
			a.Problem = clean(err.Error())
		}
	}
	return a
}
