package decision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"
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

// maxReference is more than the longest host, path, tag and digest take.
const maxReference = 4 << 10

// Resolver finds out about references and decides among their candidates. It is
// safe for use by many goroutines and meant to live as long as the process.
type Resolver struct {
	*Evaluator
	registry *registry.Registry

	inFlight singleflight.Group
	resolved resolved
	recent   recent
	unkept   throttle.Throttle
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
	switch {
	case index.IsIndex(top.MediaType):
		d.Index = top.Digest
		err = l.ofIndex(ctx, d, top, newNode(ev.Facts))
	case index.IsManifest(top.MediaType):
		d.Candidates = []Candidate{{Digest: top.Digest, descriptor: top}}
		d.Default = 0
		err = l.artifacts(ctx, d, nil)
	}
	if errors.Is(err, errUnsupported) {
		r.log.Warn("leaving the choice to the runtime", "reference", d.Reference, "error", err)
		d.Reason = Line(fmt.Sprintf("%s is left to the runtime: %v", d.Reference, err))
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Verdict = ev.verdict(c.claims, c.Artifacts)
	}
	ev.warn(d.Reference)
	d.choose()
	ev.arose.NoReferrersAPI = l.noAPI.Load()
	d.note(ev)
	d.dropBodies()
	r.recent.put(key, d, req.Snapshot, now, l.validUntil.time(), l.read.Load()+int64(len(l.first)))
	return d, nil
}

// dropBodies leaves the bodies of artifacts to the cache: a decision is remembered
// for a while, and artifacts may be large.
func (d *Decision) dropBodies() {
	for _, c := range d.Candidates {
		for i := range c.Artifacts {
			c.Artifacts[i].Body = nil
		}
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
