// Package referrers finds the compatibility artifacts of an image or an index. The
// pull, explain, list, attach and the background look-up all find them here.
package referrers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	// MaxOpened bounds how many referrers of one manifest are opened to see whether
	// they are compatibility artifacts.
	MaxOpened = 32
	// MaxLayers bounds how many bodies one artifact may have.
	MaxLayers = 16
	// maxAtOnce bounds how many referrers are opened at the same time.
	maxAtOnce = 4
	// maxProblem bounds the words about one artifact.
	maxProblem = 900
)

// Repository is what artifacts are read from: a registry, or a cache in front of it.
type Repository interface {
	// List lists what refers to a manifest or index.
	List(ctx context.Context, subject ocispec.Descriptor) (registry.Listing, error)
	// Manifest and Blob return content, bounded and verified.
	Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
}

// Artifact is one body of a compatibility artifact, or an artifact that cannot be
// read.
type Artifact struct {
	Type      string        `json:"type,omitempty"` // of the artifact
	Manifest  digest.Digest `json:"manifest,omitempty"`
	Layer     digest.Digest `json:"layer,omitempty"`
	MediaType string        `json:"mediaType,omitempty"` // of the layer
	Problem   string        `json:"problem,omitempty"`   // why it cannot be read
	Base      string        `json:"base,omitempty"`      // the base image that it is attached to, where it is not the image itself

	// Statement is true where the layer is a bundle with a statement that has the body
	// in it.
	Statement bool    `json:"statement,omitempty"`
	Signer    *Signer `json:"signer,omitempty"`   // who signed it, where that was asked
	Unsigned  string  `json:"unsigned,omitempty"` // or else why no trusted key did
	// Kept is why it counts although the registry does not have it now: it was seen before.
	Kept string `json:"kept,omitempty"`

	Referrer ocispec.Descriptor `json:"-"` // of the manifest, as it is listed
	Created  time.Time          `json:"-"` // zero where the artifact does not say
	Size     int64              `json:"-"` // of the body
	Body     []byte             `json:"-"` // of the layer; nil where Limits do not keep it
	// Current is true for the newest of its kind, and for one that cannot be read
	// while nothing newer can.
	Current bool `json:"-"`
}

// Kind tells artifacts apart of which only the newest is current.
type Kind struct{ Artifact, Layer string }

// Kind returns the kind of an artifact. What has no body that this version reads is
// of the zero kind.
func (a Artifact) Kind() Kind {
	if a.MediaType == "" {
		return Kind{}
	}
	return Kind{a.Type, a.MediaType}
}

// Text returns the description of what an image needs in the content of the layer.
func (a Artifact) Text(layer []byte) ([]byte, error) {
	if !a.Statement {
		return layer, nil
	}
	return trust.DescriptionOf(layer)
}

// Found is what Discover found.
type Found struct {
	Artifacts []Artifact // the newest first
	Others    int        // referrers that are something else, such as signatures
	Unopened  int        // referrers that may be artifacts, beyond MaxOpened; they are among Others
}

// Current returns the artifacts that are current, by kind.
func (f Found) Current() []Artifact {
	current := slices.DeleteFunc(slices.Clone(f.Artifacts), func(a Artifact) bool { return !a.Current })
	slices.SortStableFunc(current, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(a.Kind().Artifact, b.Kind().Artifact), cmp.Compare(a.Kind().Layer, b.Kind().Layer))
	})
	return current
}

// Limits bound the memory of several calls of Discover together.
type Limits interface {
	// Reserve waits for room for content of a size, which release gives back once it
	// was read.
	Reserve(ctx context.Context, size int64) (release func(), err error)
	// Keeps tells whether a body of a size may stay in memory. The caller of Discover
	// knows where else it is.
	Keeps(size int64) bool
}

// unlimited is for programs that read one image at a time.
type unlimited struct{}

func (unlimited) Reserve(context.Context, int64) (func(), error) { return func() {}, nil }
func (unlimited) Keeps(int64) bool                               { return true }

// Discover finds the compatibility artifacts of a manifest or index. What claims to
// be one and cannot be read is listed with its problem, and so is a list of referrers
// that is too long. Only a registry that does not answer is an error.
func Discover(ctx context.Context, repo Repository, subject ocispec.Descriptor) (Found, error) {
	return DiscoverWith(ctx, repo, subject, Options{})
}

// Options say how artifacts are looked up.
type Options struct {
	Limits Limits // nil is for programs that read one image at a time
	// Keys are those of which it is found out whether they signed the artifacts; nil
	// asks nothing about signatures. Those that are signed are then ranked apart from
	// the others.
	Keys *trust.Attempts
}

// DiscoverWith is Discover with options.
func DiscoverWith(ctx context.Context, repo Repository, subject ocispec.Descriptor, o Options) (Found, error) {
	if o.Limits == nil {
		o.Limits = unlimited{}
	}
	listing, err := repo.List(ctx, subject)
	if err != nil {
		return Found{}, err
	}
	candidates := likely(listing.Referrers)
	found := Found{Others: max(listing.Total, len(listing.Referrers)), Unopened: max(0, len(candidates)-MaxOpened)}
	candidates = candidates[:len(candidates)-found.Unopened]
	opened := make([][]Artifact, len(candidates))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAtOnce)
	r := reader{repo, o, subject}
	for i, referrer := range candidates {
		group.Go(func() (err error) {
			opened[i], err = r.open(ctx, referrer)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Found{}, err
	}
	for _, artifacts := range opened {
		if len(artifacts) > 0 {
			found.Others--
		}
	}
	found.Artifacts = slices.Concat(opened...)
	rank(found.Artifacts)
	if listing.Incomplete != "" {
		tooLong := Artifact{Current: true}.unreadable(errors.New("the list of its artifacts is too long: " + listing.Incomplete))
		found.Artifacts = append(found.Artifacts, tooLong...)
	}
	return found, nil
}

// reader reads the referrers of one subject.
type reader struct {
	repo Repository
	Options
	subject ocispec.Descriptor
}

// open reads one referrer: each body of a compatibility artifact, or nothing where
// it is something else.
func (r reader) open(ctx context.Context, referrer ocispec.Descriptor) ([]Artifact, error) {
	if r.Keys == nil || referrer.ArtifactType == trust.BundleType {
		artifacts, _, err := r.read(ctx, referrer)
		return artifacts, err
	}
	group, inGroup := errgroup.WithContext(ctx)
	var artifacts []Artifact
	var manifest []byte
	group.Go(func() (err error) {
		artifacts, manifest, err = r.read(inGroup, referrer)
		return err
	})
	var bundles []Bundle
	early := dialect.IsArtifactType(referrer.ArtifactType)
	if early { // which takes no more time than to read it
		group.Go(func() (err error) {
			bundles, err = Bundles(inGroup, r.repo, r.Limits, referrer)
			return err
		})
	}
	err := group.Wait()
	if err == nil && !early && len(artifacts) > 0 && !artifacts[0].Statement {
		bundles, err = Bundles(ctx, r.repo, r.Limits, referrer)
	}
	if err != nil {
		return nil, err
	}
	if len(artifacts) > 0 && !artifacts[0].Statement {
		r.signed(artifacts, bundles, manifest)
	}
	return artifacts, nil
}

// read is open without signatures. It returns the manifest along, where that is about the
// subject.
func (r reader) read(ctx context.Context, referrer ocispec.Descriptor) ([]Artifact, []byte, error) {
	a := Artifact{Type: referrer.ArtifactType, Manifest: referrer.Digest, Referrer: referrer}
	m, text, err := r.manifest(ctx, referrer)
	switch {
	case err != nil && !registry.IsContentError(err):
		return nil, nil, err
	case err != nil && !dialect.IsArtifactType(referrer.ArtifactType):
		return nil, nil, nil // some other referrer of this image is broken
	case err != nil:
		return a.unreadable(err), nil, nil
	}
	a.Created = registry.Created(m.Annotations)
	var artifacts []Artifact
	switch a.Type = typeOf(m); {
	case a.Type == trust.BundleType:
		artifacts, err = r.statement(ctx, a, m)
	case !dialect.IsArtifactType(a.Type):
	case m.Subject != r.subject.Digest:
		text = nil
		artifacts = a.unreadable(errors.New("its subject is not the manifest it was found under"))
	default:
		artifacts, err = r.bodies(ctx, a, m.Layers)
	}
	return artifacts, text, err
}

// manifest reads the manifest of an artifact. One that makes no sense is corrupt.
func (r reader) manifest(ctx context.Context, desc ocispec.Descriptor) (m index.Manifest, text []byte, err error) {
	release, err := r.Limits.Reserve(ctx, desc.Size)
	if err != nil {
		return m, nil, err
	}
	defer release()
	if text, err = fetch(ctx, r.repo.Manifest, desc); err != nil {
		return m, nil, err
	}
	if m, err = index.ParseManifest(text); err != nil {
		return m, nil, fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
	}
	return m, text, nil
}

// fetch requests nothing that cannot be had.
func fetch(ctx context.Context, get func(context.Context, ocispec.Descriptor) ([]byte, error), desc ocispec.Descriptor) ([]byte, error) {
	if err := registry.CheckDescriptor(desc); err != nil {
		return nil, err
	}
	return get(ctx, desc)
}

func (a Artifact) unreadable(err error) []Artifact {
	a.Problem = textutil.Line(err.Error(), maxProblem)
	return []Artifact{a}
}

// bodies fetches the layers of an artifact that this version reads.
func (r reader) bodies(ctx context.Context, a Artifact, layers []ocispec.Descriptor) ([]Artifact, error) {
	if len(layers) > MaxLayers {
		return a.unreadable(fmt.Errorf("it has more than the %d layers that are read", MaxLayers)), nil
	}
	var bodies []Artifact
	for _, layer := range layers {
		if _, known := dialect.Detect(a.Type, layer.MediaType, nil); !known {
			continue
		}
		body := a
		body.Layer, body.MediaType, body.Size = layer.Digest, layer.MediaType, layer.Size
		var err error
		body.Body, err = r.body(ctx, layer)
		switch {
		case err != nil && !registry.IsContentError(err):
			return nil, err
		case err != nil:
			bodies = append(bodies, body.unreadable(err)...)
		default:
			bodies = append(bodies, body)
		}
	}
	if len(bodies) == 0 {
		return a.unreadable(errors.New("none of its layers has a media type this version reads")), nil
	}
	return bodies, nil
}

// described is the artifact with the body that a statement has in it.
func (r reader) described(a Artifact, c trust.Compatibility, bundle []byte) ([]Artifact, error) {
	if _, known := dialect.Detect(c.ArtifactType, c.MediaType, nil); !known {
		return a.unreadable(errors.New("its statement is of no type that this version reads")), nil
	}
	if a.Type, a.MediaType = c.ArtifactType, c.MediaType; r.Limits.Keeps(a.Size) {
		a.Body = bundle
	}
	return []Artifact{a}, nil
}

// body fetches a layer, and returns what may stay in memory.
func (r reader) body(ctx context.Context, layer ocispec.Descriptor) ([]byte, error) {
	release, err := r.Limits.Reserve(ctx, layer.Size)
	if err != nil {
		return nil, err
	}
	defer release()
	body, err := fetch(ctx, r.repo.Blob, layer)
	if err != nil || !r.Limits.Keeps(layer.Size) {
		return nil, err
	}
	return body, nil
}
