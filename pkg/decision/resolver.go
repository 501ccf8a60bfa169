package decision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxLookups bounds the requests of one decision that run at the same time: as
// many as most servers take over one HTTP/2 connection.
const maxLookups = 96

// maxWrites bounds the files that one decision writes at the same time.
const maxWrites = 8

// maxReference is more than the longest host, path, tag and digest take.
const maxReference = 4 << 10

// Resolver finds out about references and decides among their candidates. It is
// safe for use by many goroutines and meant to live as long as the process.
type Resolver struct {
	*Evaluator
	registry *registry.Registry

	flights singleflight.Group
	seen    seen
	recent  recent
	unkept  cache.Complaints
}

// NewResolver returns a Resolver that asks these registries.
func NewResolver(e *Evaluator, r *registry.Registry) *Resolver {
	return &Resolver{Evaluator: e, registry: r}
}

// Request is what is to be decided.
type Request struct {
	Reference string
	Auth      *registry.Auth
	Snapshot  Snapshot
}

// decide resolves the reference, looks at every candidate and chooses.
func (r *Resolver) decide(ctx context.Context, req Request) (*Decision, error) {
	if len(req.Reference) > maxReference {
		return nil, fmt.Errorf("read reference %q: %d bytes are more than any has", textutil.Line(req.Reference, 64), len(req.Reference))
	}
	named, err := reference.ParseDockerRef(req.Reference)
	if err != nil {
		return nil, fmt.Errorf("read reference %q: %w", Line(req.Reference), err)
	}
	repo, err := r.registry.Repository(named, req.Auth)
	if err != nil {
		return nil, err
	}
	h := r.hear(req.Snapshot, named.Name())
	l := r.newLookup(h, repo, named.Name())
	defer func() { _ = l.writes.Wait() }()
	top, err := l.resolve(ctx, named)
	if err != nil {
		return nil, err
	}
	key, now := named.String()+" "+top.Digest.String(), time.Now()
	if d := r.recent.get(key, h, now); d != nil && r.holds(d) {
		return d, nil
	}
	d := &Decision{
		Reference: named.String(), Repository: named.Name(), Choice: None, Default: None,
		Facts: h.facts.Fingerprint(), Time: now.UTC(),
	}
	switch {
	case isIndex(top.MediaType):
		d.Index = top.Digest
		err = l.index(ctx, d, top, newNode(h.facts))
	case compat.IsManifest(top.MediaType):
		d.Candidates = []Candidate{{Digest: top.Digest, descriptor: top}}
		d.Default = 0
		err = l.artifacts(ctx, d, nil)
	}
	if errors.Is(err, errNotLookedInto) {
		r.log.Warn("the choice is left to the runtime", "reference", d.Reference, "error", err)
		d.Reason = Line(fmt.Sprintf("%s is left to the runtime: %v", d.Reference, err))
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Verdict = h.verdict(c.claims, c.Artifacts)
	}
	h.warn(d)
	d.choose()
	h.noAPI = l.noAPI.Load()
	d.note(h)
	d.dropBodies()
	r.recent.put(key, d, h, now, l.current.time(), l.read.Load()+int64(len(l.first)))
	return d, nil
}

// dropBodies leaves what is said of the candidates to the cache: a decision is
// remembered for a while, and artifacts may be large.
func (d *Decision) dropBodies() {
	for _, c := range d.Candidates {
		for i := range c.Artifacts {
			c.Artifacts[i].body = nil
		}
	}
}

// index finds the candidates of an index and what is said of them.
func (l *lookup) index(ctx context.Context, d *Decision, top ocispec.Descriptor, n node) error {
	body, err := l.first, error(nil)
	if body == nil {
		body, err = l.manifest(ctx, top)
	}
	if errors.Is(err, errDescriptor) || errors.Is(err, registry.ErrTooLarge) {
		return fmt.Errorf("%w: %w", errNotLookedInto, err)
	}
	if err != nil {
		return err
	}
	entries, err := parseIndex(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotLookedInto, err)
	}
	kept, err := n.candidates(entries)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotLookedInto, err)
	}
	d.Default = n.runtimeChoice(kept)
	for _, e := range entries {
		if !n.canRun(*e.Platform) {
			d.Others = append(d.Others, textutil.Line(platformName(*e.Platform), maxWords))
		}
	}
	for _, e := range kept {
		d.Candidates = append(d.Candidates, Candidate{
			Digest: e.Digest, Platform: platformName(*e.Platform), descriptor: e.Descriptor,
			claims: EntryClaims{Platform: e.platform, Annotations: l.preferred(e.Annotations)},
		})
	}
	if len(kept) == 0 {
		return nil
	}
	return l.artifacts(ctx, d, &top)
}

// artifacts looks up, for all at once, what is said of each candidate, and of
// the index, which holds for each of them unless it has its own.
func (l *lookup) artifacts(ctx context.Context, d *Decision, index *ocispec.Descriptor) error {
	group, ctx := errgroup.WithContext(ctx)
	var common []Artifact
	if index != nil {
		group.Go(func() (err error) {
			common, err = l.artifactsOf(ctx, *index)
			return err
		})
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		group.Go(func() (err error) {
			c.Artifacts, err = l.artifactsOf(ctx, c.descriptor)
			return err
		})
		group.Go(func() error { return l.claims(ctx, c) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look up what %s needs: %w", d.Reference, err)
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Artifacts = append(overlay(c.Artifacts, common), c.inline...)
	}
	return nil
}

// overlay adds the artifacts of the index whose type the entry has none of.
func overlay(own, common []Artifact) []Artifact {
	has := map[string]bool{}
	for _, a := range own {
		has[a.kind()] = true
	}
	for _, a := range common {
		if !has[a.kind()] {
			own = append(own, a)
		}
	}
	return own
}

// warn logs each artifact that could not be read, once for all the candidates
// it holds for.
func (h *hearing) warn(d *Decision) {
	for _, a := range h.odd {
		h.log.Warn("a compatibility artifact cannot be read", "reference", d.Reference,
			"artifact", Line(a.manifest.String()), "problem", a.problem, "policy", h.answers.MalformedArtifact)
	}
}

// choose orders the candidates and says why.
func (d *Decision) choose() {
	candidates := make([]selector.Candidate, len(d.Candidates))
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Outcome, c.Reason = c.Verdict.Outcome, textutil.Line(c.Verdict.Reason(), maxReason)
		c.Requirements = results(c.Verdict)
		candidates[i].Verdict = c.Verdict
		if p := c.descriptor.Platform; p != nil {
			candidates[i].Level = platformLevel(*p)
		}
	}
	for rank, i := range selector.Order(candidates) {
		d.Candidates[i].Rank = rank + 1
		if rank == 0 {
			d.Choice = i
		}
	}
	d.Reason = d.sentence()
}
