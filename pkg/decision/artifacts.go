package decision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	// maxInspected bounds how many referrers of one manifest are opened to see
	// whether they are compatibility artifacts.
	maxInspected = 32
	// maxOpened bounds how many of them are opened at the same time.
	maxOpened = 4
	// maxLayers bounds how many bodies one artifact may have.
	maxLayers = 16
	// maxBody bounds the body of a compatibility artifact.
	maxBody = 4 << 20
	// maxFetched bounds what one decision reads of artifacts altogether.
	maxFetched = 64 << 20
)

// artifactsOf returns the compatibility artifacts of one manifest or index: of
// each body type the newest. Every blob they name is in the cache afterwards.
func (l *lookup) artifactsOf(ctx context.Context, subject ocispec.Descriptor) ([]Artifact, error) {
	referrers, err := l.referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	to := compat.LikelyArtifacts(referrers)
	if len(to) > maxInspected {
		l.log.Warn("more referrers than are looked at, the newest count", "subject", subject.Digest,
			"referrers", len(to), "looked at", maxInspected)
		to = to[:maxInspected]
	}
	opened := make([][]found, len(to))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxOpened)
	for i, r := range to {
		group.Go(func() (err error) {
			opened[i], err = l.open(ctx, subject, r)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	newest := map[string][]found{}
	for _, f := range slices.Concat(opened...) {
		switch kept := newest[f.kind()]; {
		case len(kept) == 0 || f.after(kept[0]):
			newest[f.kind()] = []found{f}
		case f.Manifest == kept[0].Manifest: // an artifact may have several bodies of one type
			newest[f.kind()] = append(kept, f)
		}
	}
	return counting(newest), nil
}

// kind tells artifacts apart of which only the newest counts. What has no body
// this version reads is of no kind.
func (a Artifact) kind() string {
	if a.MediaType == "" {
		return ""
	}
	return a.Type + " " + a.MediaType
}

// counting lists the artifacts that count, by kind. One without any body
// this version reads counts no longer when a newer one has such a body.
func counting(newest map[string][]found) []Artifact {
	if odd := newest[""]; len(odd) > 0 && !odd[0].created.IsZero() {
		for kind, f := range newest {
			if kind != "" && f[0].created.After(odd[0].created) {
				delete(newest, "")
			}
		}
	}
	var artifacts []Artifact
	for _, kind := range slices.Sorted(maps.Keys(newest)) {
		for _, f := range newest[kind] {
			artifacts = append(artifacts, f.Artifact)
		}
	}
	return artifacts
}

// found is an artifact with what decides which of several counts.
type found struct {
	Artifact
	created time.Time
}

// after orders by time; of artifacts of the same time, or without one, the
// digest decides, so that the answer does not depend on the registry's order.
func (f found) after(other found) bool {
	if c := f.created.Compare(other.created); c != 0 {
		return c > 0
	}
	return f.Manifest > other.Manifest
}

// open reads one referrer. What is not a compatibility artifact yields
// nothing; what claims to be one and cannot be read yields its problem. Only a
// registry that does not answer is an error.
func (l *lookup) open(ctx context.Context, subject, referrer ocispec.Descriptor) ([]found, error) {
	problem := func(err error) []found {
		return []found{{Artifact: Artifact{Manifest: referrer.Digest, Problem: Line(err.Error())}}}
	}
	claimed := compat.IsArtifactType(referrer.ArtifactType)
	body, err := l.manifest(ctx, referrer)
	if isContentProblem(err) && claimed {
		return problem(err), nil
	}
	if isContentProblem(err) {
		return nil, nil // some other referrer of this image is broken: not ours to judge
	}
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		if claimed {
			return problem(fmt.Errorf("read artifact manifest: %w", err)), nil
		}
		return nil, nil
	}
	if !compat.IsArtifactType(compat.TypeOf(m)) {
		return nil, nil
	}
	if m.Subject == nil || m.Subject.Digest != subject.Digest {
		return problem(errors.New("its subject is not the manifest it was found under")), nil
	}
	return l.layers(ctx, referrer, m)
}

// layers fetches the bodies of an artifact into the cache.
func (l *lookup) layers(ctx context.Context, referrer ocispec.Descriptor, m ocispec.Manifest) ([]found, error) {
	var artifacts []found
	odd := func(problem string) []found {
		return []found{{Artifact{Manifest: referrer.Digest, Problem: problem}, compat.CreatedAt(m.Annotations)}}
	}
	if len(m.Layers) > maxLayers {
		return odd(fmt.Sprintf("it has %d layers, more than the %d that are looked at", len(m.Layers), maxLayers)), nil
	}
	for _, layer := range m.Layers {
		if _, known := compat.Detect(compat.TypeOf(m), layer.MediaType, nil); !known {
			continue
		}
		body, err := l.blob(ctx, layer)
		if err != nil && !isContentProblem(err) {
			return nil, err
		}
		f := found{Artifact{Type: compat.TypeOf(m), Manifest: referrer.Digest, Layer: layer.Digest, MediaType: layer.MediaType, body: body}, compat.CreatedAt(m.Annotations)}
		if err != nil {
			f.Problem = Line(err.Error())
		}
		artifacts = append(artifacts, f)
	}
	if len(artifacts) == 0 {
		return odd("none of its layers has a media type this version reads"), nil
	}
	return artifacts, nil
}

// isContentProblem tells an artifact that is wrong from a registry that does
// not answer: the first stays wrong however often one asks.
func isContentProblem(err error) bool {
	return errors.Is(err, registry.ErrTooLarge) || errors.Is(err, registry.ErrCorrupt) || errors.Is(err, registry.ErrNotFound) || errors.Is(err, errDescriptor)
}

var errDescriptor = errors.New("invalid descriptor")

// fetchable refuses descriptors that nothing good can come of, before a
// request is made of them.
func fetchable(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%w: digest %q is no sha256 digest", errDescriptor, d.Digest)
	}
	if d.Size < 0 || d.Size > maxBody {
		return fmt.Errorf("%w: size %d is not within %d bytes", errDescriptor, d.Size, maxBody)
	}
	return nil
}
