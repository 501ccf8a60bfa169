package decision

import (
	"context"
	"crypto/rand"
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

// maxLookups bounds the requests of one decision that run at the same time, each
// over a connection of its own.
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
	secret   string // of this process
}

// NewResolver returns a Resolver that asks these registries.
func NewResolver(e *Evaluator, r *registry.Registry) *Resolver {
	resolved, _ := lru.New[string, struct{}](maxResolved) // fails for sizes below 1 only
	return &Resolver{Evaluator: e, registry: r, resolved: resolved, recent: newRecent(), secret: rand.Text()}
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
	l := r.newLookup(ev, repo, named.Name(), req.Auth)
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
	if why, ok := errors.AsType[unsupportedError](err); ok {
		d.Unevaluated = Line(string(why))
		d.Reason = Line(fmt.Sprintf("%s is left to the runtime: %v", d.Reference, err))
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	d.evaluate(ev)
	if err := l.choose(ctx, d); err != nil {
		return nil, err
	}
	ev.arose.NoReferrersAPI = l.noAPI.Load()
	d.note(ev)
	remembered := *d
	r.recent.put(key, &remembered, req.Snapshot, now, l.validUntil.time(), l.read.Load()+int64(len(l.first)))
	d.Read = l.contents
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
	n := l.r.newNode(l.ev.Facts)
	d.Platform = n.String()
	switch {
	case index.IsIndex(top.MediaType):
		d.Index = top.Digest
		return l.ofIndex(ctx, d, top, n)
	case index.IsManifest(top.MediaType):
		return l.ofManifest(ctx, d, top, n)
	default:
		return unsupportedError("media type " + textutil.Line(top.MediaType, maxWords) + " is neither an index nor an image")
	}
}

// evaluate evaluates all candidates. The bodies of artifacts are left to the cache
// then: a decision is remembered for a while, and they may be large.
func (d *Decision) evaluate(ev *evaluation) {
	for i := range d.Candidates {
		c := &d.Candidates[i]
		c.Verdict = ev.verdict(c.claims, c.Artifacts)
		c.Outcome, c.Reason = c.Verdict.Outcome, textutil.Line(c.Verdict.Reason(), maxReason)
		c.Requirements = results(c.Verdict)
		c.setPriorities(d.Priorities, ev.Rules.Interpreter)
	}
	ev.warn(d.Reference)
	for _, c := range d.Candidates {
		for i := range c.Artifacts {
			c.Artifacts[i].Body = nil
		}
	}
}

// choose orders the candidates and says why.
func (d *Decision) choose() {
	d.Choice = None
	candidates := make([]selector.Candidate, len(d.Candidates))
	for i, c := range d.Candidates {
		candidates[i].Verdict, candidates[i].Priorities = c.Verdict, c.places
		if c.platform != nil {
			candidates[i].Level = platformLevel(*c.platform)
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
