// Package referrers finds the compatibility artifacts of an image or an index. The
// pull, explain, list, attach and the background look-up all find them here.
package referrers

import (
	"cmp"
	"context"
	"encoding/json"
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
	// Referrers lists what refers to a manifest or index.
	Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error)
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

	Referrer ocispec.Descriptor `json:"-"` // of the manifest, as it is listed
	Created  time.Time          `json:"-"` // zero where the artifact does not say
	Body     []byte             `json:"-"`
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

// Discover finds the compatibility artifacts of a manifest or index. What claims to
// be one and cannot be read is listed with its problem. Only a registry that does
// not answer is an error.
func Discover(ctx context.Context, repo Repository, subject ocispec.Descriptor) (Found, error) {
	listed, err := repo.Referrers(ctx, subject)
	if err != nil {
		return Found{}, err
	}
	candidates := likely(listed)
	found := Found{Others: len(listed), Unopened: max(0, len(candidates)-MaxOpened)}
	candidates = candidates[:len(candidates)-found.Unopened]
	opened := make([][]Artifact, len(candidates))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAtOnce)
	for i, referrer := range candidates {
		group.Go(func() (err error) {
			opened[i], err = open(ctx, repo, subject, referrer)
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
	return found, nil
}

// open reads one referrer: each body of a compatibility artifact, or nothing where
// it is something else.
func open(ctx context.Context, repo Repository, subject, referrer ocispec.Descriptor) ([]Artifact, error) {
	a := Artifact{Type: referrer.ArtifactType, Manifest: referrer.Digest, Referrer: referrer}
	text, err := fetch(ctx, repo.Manifest, referrer)
	if err != nil && !registry.IsContentError(err) {
		return nil, err
	}
	var m ocispec.Manifest
	if err == nil {
		if err = json.Unmarshal(text, &m); err != nil {
			err = fmt.Errorf("read artifact manifest: %w", err)
		}
	}
	switch {
	case err != nil && !dialect.IsArtifactType(referrer.ArtifactType):
		return nil, nil // some other referrer of this image is broken
	case err != nil:
		return a.unreadable(err), nil
	}
	if a.Type = typeOf(m); !dialect.IsArtifactType(a.Type) {
		return nil, nil
	}
	if m.Subject == nil || m.Subject.Digest != subject.Digest {
		return a.unreadable(errors.New("its subject is not the manifest it was found under")), nil
	}
	a.Created = createdAt(m.Annotations)
	return a.bodies(ctx, repo, m.Layers)
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

// bodies fetches the layers that this version reads.
func (a Artifact) bodies(ctx context.Context, repo Repository, layers []ocispec.Descriptor) ([]Artifact, error) {
	if len(layers) > MaxLayers {
		return a.unreadable(fmt.Errorf("it has %d layers, more than the %d that are read", len(layers), MaxLayers)), nil
	}
	var bodies []Artifact
	for _, layer := range layers {
		if _, known := dialect.Detect(a.Type, layer.MediaType, nil); !known {
			continue
		}
		body := a
		body.Layer, body.MediaType = layer.Digest, layer.MediaType
		var err error
		body.Body, err = fetch(ctx, repo.Blob, layer)
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
