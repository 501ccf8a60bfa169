package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	// maxDepth and maxNested bound indexes within indexes, maxVariants the entries of all.
	maxDepth, maxNested, maxVariants = 4, 8, 512
	// maxRead bounds what is read of one image altogether.
	maxRead = 32 << 20
	// atOnce bounds the requests for one image that run at the same time.
	atOnce = 4
)

// recorded is what is known of an image before it is read.
type recorded interface {
	// hasManifest tells whether the manifest of an image is recorded with its config.
	hasManifest(ctx context.Context, d digest.Digest) (bool, error)
	// listingOf returns what stands for the recorded list of referrers, and whether that is
	// current.
	listingOf(ctx context.Context, d digest.Digest) (listing string, fresh bool, err error)
}

// imageReader reads one image from a repository: indexes, manifests, configs and
// artifacts, never a layer.
type imageReader struct {
	repo  referrers.Repository
	known recorded
	keys  keyring
	left  atomic.Int64 // bytes
	o     *Observed
	top   ocispec.Descriptor
	body  []byte // of the index
}

// readImage reads what a descriptor stands for, and which of the keys signed it.
func readImage(ctx context.Context, repo referrers.Repository, known recorded, keys keyring, o *Observed, top ocispec.Descriptor) error {
	r := &imageReader{repo: repo, known: known, keys: keys, o: o, top: top}
	r.left.Store(maxRead)
	o.Top = Manifest{Digest: top.Digest, Size: top.Size, Index: index.IsIndex(top.MediaType)}
	switch {
	case o.Top.Index:
		if err := r.readIndex(ctx, top); err != nil {
			return err
		}
	case index.IsManifest(top.MediaType):
		o.Variants = []Variant{{Manifest: o.Top}}
		descriptors := map[digest.Digest]ocispec.Descriptor{top.Digest: top}
		if err := r.readImages(ctx, descriptors, true); err != nil {
			return err
		}
		o.Top = o.Variants[0].Manifest
	default:
		return fmt.Errorf("%w: media type %s is neither an index nor an image", registry.ErrCorrupt, textutil.Line(top.MediaType, maxValue))
	}
	return nil
}

// get reads content within what may be read of an image.
func (r *imageReader) get(ctx context.Context, d ocispec.Descriptor, from func(context.Context, ocispec.Descriptor) ([]byte, error)) ([]byte, error) {
	if err := registry.CheckDescriptor(d); err != nil {
		return nil, err
	}
	if r.left.Add(-d.Size) < 0 {
		return nil, fmt.Errorf("%w: its manifests, configs and artifacts have more than %d bytes", registry.ErrTooLarge, maxRead)
	}
	return from(ctx, d)
}

// readIndex reads an index, the indexes within it, and the images of all.
func (r *imageReader) readIndex(ctx context.Context, top ocispec.Descriptor) error {
	body, err := r.get(ctx, top, r.repo.Manifest)
	if err != nil {
		return err
	}
	r.body, r.o.Priorities = body, index.Annotation(body, dialect.AnnotationPriorities)
	descriptors := map[digest.Digest]ocispec.Descriptor{}
	nested := maxNested
	if err := r.addEntries(ctx, body, nil, &nested, descriptors); err != nil {
		return err
	}
	r.o.Subjects = append(r.o.Subjects, Subject{Digest: top.Digest})
	return r.readImages(ctx, descriptors, false)
}

// addEntries adds the entries of an index, those of an index within it in its place.
func (r *imageReader) addEntries(ctx context.Context, body []byte, within []digest.Digest, nested *int, descriptors map[digest.Digest]ocispec.Descriptor) error {
	entries, err := index.Parse(body)
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
	}
	for _, e := range entries {
		kind, why := e.Kind()
		v := Variant{Manifest: Manifest{Digest: e.Digest, Size: e.Size}, Reason: why, within: within, Platform: platformName(e.Platform)}
		if len(within) > 0 {
			v.Within = within[len(within)-1]
		}
		if len(r.o.Variants) >= maxVariants {
			return fmt.Errorf("%w: it has more than %d entries", registry.ErrTooLarge, maxVariants)
		}
		switch {
		case e.Digest.Validate() != nil:
			continue
		case kind == index.Nested && (*nested == 0 || len(within)+2 > maxDepth):
			v.Reason, v.Manifest.Index = "not read: there are too many indexes within the index", true
		case kind == index.Nested:
			*nested--
			inner, err := r.get(ctx, e.Descriptor, r.repo.Manifest)
			if err == nil {
				below := append(slices.Clip(within), e.Digest)
				r.o.Subjects = append(r.o.Subjects, Subject{Digest: e.Digest})
				err = r.addEntries(ctx, inner, below, nested, descriptors)
			}
			if err == nil {
				continue
			}
			if !registry.IsContentError(err) {
				return err
			}
			v.Reason, v.Manifest.Index = textutil.Line("cannot be read: "+err.Error(), maxRowProblem), true
		case why == "":
			v.Claims = Claims{Platform: e.RawPlatform, Annotations: boundAnnotations(e.Annotations)}
			descriptors[e.Digest] = e.Descriptor
		default:
			v.Manifest.Other = true
		}
		r.o.Variants = append(r.o.Variants, v)
	}
	return nil
}

func platformName(p *ocispec.Platform) string {
	if p == nil || p.Architecture == "" {
		return ""
	}
	return index.PlatformName(p)
}

// maxAnnotations bounds the annotations of an entry that are kept.
const maxAnnotations = 32

// boundAnnotations keeps annotations that somebody may prefer or search for.
func boundAnnotations(all map[string]string) map[string]string {
	if len(all) > maxAnnotations {
		return nil
	}
	var kept map[string]string
	for key, value := range all {
		if len(key)+len(value) <= 2*maxValue && !strings.HasPrefix(key, "vnd.docker.") {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}

// readImages reads the manifest and config of every image, and what refers to it.
func (r *imageReader) readImages(ctx context.Context, descriptors map[digest.Digest]ocispec.Descriptor, single bool) error {
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	byDigest := map[digest.Digest][]*Variant{}
	for i := range r.o.Variants {
		v := &r.o.Variants[i]
		if v.Reason == "" {
			byDigest[v.Manifest.Digest] = append(byDigest[v.Manifest.Digest], v)
		}
	}
	for d, same := range byDigest {
		group.Go(func() error { return r.readManifest(inGroup, descriptors[d], same, single) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for d, same := range byDigest {
		switch {
		case same[0].Reason == "":
			r.o.Subjects = append(r.o.Subjects, Subject{Digest: d})
		case single:
			r.o.Subjects = append(r.o.Subjects, Subject{Digest: d, Unchanged: true})
		}
	}
	slices.SortFunc(r.o.Subjects, func(a, b Subject) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	group, inGroup = errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range r.o.Subjects {
		group.Go(func() error { return r.readSubject(inGroup, &r.o.Subjects[i], descriptors) })
	}
	return group.Wait()
}

// readManifest reads a manifest with its config. What is wrong with it does not keep the
// others from being read.
func (r *imageReader) readManifest(ctx context.Context, d ocispec.Descriptor, same []*Variant, single bool) error {
	stated := same[0].Platform != ""
	if known, err := r.known.hasManifest(ctx, d.Digest); err != nil || known && stated {
		return err
	}
	m, config, err := r.manifestAndConfig(ctx, d)
	if err != nil && !registry.IsContentError(err) {
		return err
	}
	for _, v := range same {
		v.Manifest = m
		if err != nil {
			v.Manifest.Problem = textutil.Line(err.Error(), maxRowProblem)
		}
		if m.Other {
			v.Reason = m.Problem
			continue
		}
		if stated {
			continue
		}
		p := config.Platform
		if v.Platform = platformName(&p); v.Platform == "" {
			if !single {
				v.Reason = "states no platform, and its config does not either"
			}
			continue
		}
		if v.Claims.Platform, err = json.Marshal(p); err != nil {
			return err
		}
	}
	return nil
}

type imageConfig struct {
	ocispec.Platform

	Created *time.Time `json:"created"`
	Config  struct {
		Env []string `json:"Env"`
	} `json:"config"`
}

func (r *imageReader) manifestAndConfig(ctx context.Context, d ocispec.Descriptor) (m Manifest, config imageConfig, err error) {
	m = Manifest{Digest: d.Digest, Size: d.Size}
	body, err := r.get(ctx, d, r.repo.Manifest)
	if err != nil {
		return m, config, err
	}
	parsed, err := index.ParseManifest(body)
	if err != nil {
		return m, config, fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
	}
	if ok, what := parsed.IsImage(); !ok {
		m.Other, m.Problem = true, textutil.Line(what, maxRowProblem)
		return m, config, nil
	}
	for _, layer := range parsed.Layers {
		m.Content += max(0, min(layer.Size, 1<<40))
	}
	m.Base = description.Base{Name: textutil.Line(parsed.Annotations[ocispec.AnnotationBaseImageName], maxValue)}
	if base := digest.Digest(parsed.Annotations[ocispec.AnnotationBaseImageDigest]); base.Validate() == nil {
		m.Base.Digest = base
	}
	text, err := r.get(ctx, parsed.Config, r.repo.Blob)
	if err != nil {
		return m, config, fmt.Errorf("read the image config: %w", err)
	}
	if err := index.ParseConfig(text, &config); err != nil {
		return m, config, fmt.Errorf("%w: read the image config: %w", registry.ErrCorrupt, err)
	}
	m.Environment = nvidiaOf(config.Config.Env)
	if m.Config = parsed.Config.Digest; config.Created != nil {
		m.Created = *config.Created
	}
	return m, config, nil
}

// nvidiaOf keeps the variables by which an image asks for NVIDIA's driver.
func nvidiaOf(env []string) map[string]string {
	var kept map[string]string
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if (strings.HasPrefix(name, "NVIDIA_") || name == "CUDA_VERSION") && len(variable) <= maxReason && len(kept) < maxAnnotations {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[name] = value
		}
	}
	return kept
}

// readSubject reads what refers to a manifest, unless that was done not long ago.
func (r *imageReader) readSubject(ctx context.Context, s *Subject, descriptors map[digest.Digest]ocispec.Descriptor) error {
	if s.Unchanged {
		return nil
	}
	listing, fresh, err := r.known.listingOf(ctx, s.Digest)
	if err != nil {
		return err
	}
	if fresh {
		s.Fresh = true
		return nil
	}
	of := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: s.Digest, Size: descriptors[s.Digest].Size}
	lists, err := r.keys.lists(ctx, r.repo, of, s.Digest == r.top.Digest)
	if err != nil {
		return lookingUp(s.Digest, err)
	}
	if s.Listing = lists.key(); s.Listing == listing {
		s.Unchanged = true
		return nil
	}
	if err := r.discover(ctx, s, of, &readLists{r, s.Digest, lists}); err != nil {
		return lookingUp(s.Digest, err)
	}
	return r.readInline(ctx, s)
}

func lookingUp(d digest.Digest, err error) error {
	return fmt.Errorf("look up the artifacts of %s: %w", d, err)
}

// discover reads the artifacts of a manifest, and who signed these and what has a name.
func (r *imageReader) discover(ctx context.Context, s *Subject, of ocispec.Descriptor, list *readLists) error {
	o := referrers.Options{}
	if len(r.keys) > 0 {
		o.Keys = trust.NewAttempts(r.keys)
	}
	found, err := referrers.DiscoverWith(ctx, list, of, o)
	if err != nil {
		return err
	}
	s.Artifacts, s.Others = found.Artifacts, found.Others
	if len(r.keys) == 0 {
		return nil
	}
	if s.Together = found.Together(); s.Digest != r.top.Digest {
		return nil
	}
	return list.signer(ctx, s, r.body, r.top)
}

// readInline adds the blob that an entry of Proposal J points at.
func (r *imageReader) readInline(ctx context.Context, s *Subject) error {
	for i := range r.o.Variants {
		v := &r.o.Variants[i]
		if v.Manifest.Digest != s.Digest || v.Reason != "" {
			continue
		}
		pointer, found, err := dialect.EntryCompat(v.Claims.Platform)
		if !found && err == nil {
			continue
		}
		a := referrers.Artifact{Type: dialect.ArtifactType, Layer: digest.Digest(pointer.Digest), MediaType: pointer.MediaType, Current: true}
		if err == nil {
			a.Body, err = r.get(ctx, ocispec.Descriptor{MediaType: pointer.MediaType, Digest: a.Layer, Size: pointer.Size}, r.repo.Blob)
		}
		if err != nil && !registry.IsContentError(err) {
			return err
		}
		if err != nil {
			a.Problem = textutil.Line(err.Error(), maxRowProblem)
		}
		s.Artifacts = append(s.Artifacts, a)
		return nil
	}
	return nil
}

// listingKey stands for a list of referrers.
func listingKey(listing registry.Listing) string {
	digests := make([]string, 0, len(listing.Referrers)+1)
	for _, d := range listing.Referrers {
		digests = append(digests, d.Digest.String())
	}
	slices.Sort(digests)
	digests = append(digests, listing.Incomplete)
	return digest.FromString(strings.Join(digests, "\n")).Encoded()[:12]
}
