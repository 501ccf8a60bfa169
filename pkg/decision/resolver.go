package decision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/internal/throttle"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxLookups bounds the requests of one decision that run at the same time: as
// many as most servers take over one HTTP/2 connection.
const maxLookups = 96

// maxWrites bounds the files that one decision writes at the same time.
const maxWrites = 8

// maxResolved bounds the references that are known to have been resolved.
const maxResolved = 4096

// maxReference is more than the longest host, path, tag and digest take.
const maxReference = 4 << 10

// Resolver resolves references and decides among their candidates. It is
// safe for use by many goroutines and meant to live as long as the process.
type Resolver struct {
	*Evaluator
	registry *registry.Registry

	inFlight singleflight.Group
	resolved *lru.Cache[string, struct{}] // references that were resolved before
	recent   *recent
	unkept   throttle.Throttle
}

// NewResolver returns a Resolver that asks these registries.
func NewResolver(e *Evaluator, r *registry.Registry) *Resolver {
	resolved, _ := lru.New[string, struct{}](maxResolved) // fails for sizes below 1 only
	return &Resolver{Evaluator: e, registry: r, resolved: resolved, recent: newRecent()}
}

// Request is what is to be decided.
type Request struct {
	Reference string
	Auth      *registry.Auth
	Snapshot  Snapshot
}

// decide resolves the reference, looks at every candidate and chooses.
func (r *Resolver) decide(ctx context.Context, req Request) (*Decision, error) {
	named, err := parse(req.Reference)
	if err != nil {
		return nil, fmt.Errorf("read reference %q: %w", Line(req.Reference), err)
	}
	repo, err := r.registry.Repository(named, req.Auth)
	if err != nil {
		return nil, err
	}
	ev := r.newEvaluation(req.Snapshot, named.Name())
	l := r.newLookup(ev, repo, named.Name())
	defer func() { _ = l.writes.Wait() }()
	top, err := l.resolve(ctx, named)
	if err != nil {
		return nil, err
	}
	key, now := named.String()+" "+top.Digest.String(), time.Now()
	if d := r.recent.get(key, req.Snapshot, now); d != nil && r.isComplete(d) {
		return d, nil
	}
	d := &Decision{
		Reference: named.String(), Repository: named.Name(), Choice: None, Default: None,
		Facts: ev.Facts.Fingerprint(), Time: now.UTC(),
	}
	err = l.find(ctx, d, top)
	if errors.Is(err, errUnsupported) {
		r.log.Warn("leaving the choice to the runtime", "reference", d.Reference, "error", err)
		d.Reason = Line(fmt.Sprintf("%s is left to the runtime: %v", d.Reference, err))
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	d.evaluate(ev)
	ev.arose.NoReferrersAPI = l.noAPI.Load()
	d.note(ev)
	r.recent.put(key, d, req.Snapshot, now, l.validUntil.time(), l.read.Load()+int64(len(l.first)))
	return d, nil
}

func parse(ref string) (reference.Named, error) {
	if len(ref) > maxReference {
		return nil, fmt.Errorf("it has %d bytes, more than any reference", len(ref))
	}
	return reference.ParseDockerRef(ref)
}

// find finds the candidates and what is stated of them.
func (l *lookup) find(ctx context.Context, d *Decision, top ocispec.Descriptor) error {
	switch {
	case index.IsIndex(top.MediaType):
		d.Index = top.Digest
		return l.ofIndex(ctx, d, top, newNode(l.ev.Facts))
	case index.IsManifest(top.MediaType):
		d.Candidates = []Candidate{{Digest: top.Digest, descriptor: top}}
		d.Default = 0
		return l.artifacts(ctx, d, nil)
	}
	return nil
}

// evaluate evaluates all candidates, orders them and says why. The bodies of
// artifacts are left to the cache: a decision is remembered for a while, and they may
// be large.
func (d *Decision) evaluate(ev *evaluation) {
	candidates := make([]selector.Candidate, len(d.Candidates))
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Verdict = ev.verdict(c.claims, c.Artifacts)
		c.Outcome, c.Reason = c.Verdict.Outcome, textutil.Line(c.Verdict.Reason(), maxReason)
		c.Requirements = results(c.Verdict)
		candidates[i].Verdict = c.Verdict
		if p := c.descriptor.Platform; p != nil {
			candidates[i].Level = platformLevel(*p)
		}
	}
	ev.warn(d.Reference)
	for rank, i := range selector.Order(candidates) {
		d.Candidates[i].Rank = rank + 1
		if rank == 0 {
			d.Choice = i
		}
	}
	d.Reason = d.sentence()
	for _, c := range d.Candidates {
		for i := range c.Artifacts {
			c.Artifacts[i].Body = nil
		}
	}
}
