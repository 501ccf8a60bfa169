package decision

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/internal/throttle"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
	"github.com/imagefit/imagefit/pkg/trust"
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

	flights  flights
	trimmer  *trimmer
	resolved *lru.Cache[string, struct{}] // references that were resolved before
	recent   *recent
	unkept   throttle.Throttle
	verified *trust.Verified
	memory   sync.Mutex // of what was seen before, in the cache
	secret   string     // of this process
	inUse    *budget
	indexes  *semaphore.Weighted // pulls that have large indexes

	refresher *refresher // or nil
}

// NewResolver returns a Resolver that asks these registries.
func NewResolver(e *Evaluator, r *registry.Registry) *Resolver {
	resolved, _ := lru.New[string, struct{}](maxResolved) // fails for sizes below 1 only
	return &Resolver{
		Evaluator: e, registry: r, resolved: resolved, recent: newRecent(), verified: trust.NewVerified(), secret: rand.Text(),
		flights: flights{byKey: map[string]*flight{}}, trimmer: newTrimmer(),
		inUse: newBudget(maxInUse), indexes: semaphore.NewWeighted(maxIndexes),
	}
}

// Request is what is to be decided.
type Request struct {
	Reference string
	Auth      *registry.Auth
	Snapshot  Snapshot
	// Explain says what each candidate requires and what the node has.
	Explain bool
}

// decide resolves the reference, looks at every candidate and chooses.
func (r *Resolver) decide(whole context.Context, req Request) (*Decision, error) {
	ctx := whole
	if limit := req.Snapshot.Rules.Timeout; limit > 0 {
		// What is in the cache is evaluated also where the registry took all the time.
		var cancel, cancelWhole context.CancelFunc
		whole, cancelWhole = context.WithTimeout(whole, 2*limit)
		defer cancelWhole()
		ctx, cancel = context.WithTimeout(whole, limit)
		defer cancel()
	}
	named, repo, err := r.repository(req.Reference, req.Auth)
	if err != nil {
		return nil, err
	}
	ev := r.newEvaluation(req.Snapshot, named.Name())
	ev.explains = req.Explain
	l := r.newLookup(ev, repo, named.Name(), req.Auth)
	l.named, l.auth = named, req.Auth
	defer l.end()
	top, err := l.resolve(ctx, named)
	if err != nil {
		return nil, err
	}
	key, now := named.String()+" "+top.Digest.String(), time.Now()
	if d := r.recent.get(key, req.Snapshot, now); d != nil && !req.Explain && r.isComplete(d) {
		return d, nil
	}
	d, decided, err := l.decide(ctx, whole, top, now)
	if decided && l.stale.Load() {
		if d.Choice == None && !d.NothingToChoose() {
			l.again(r.newEvaluation(req.Snapshot, named.Name())) // refuse by current lists only
			d, decided, err = l.decide(ctx, whole, top, now)
		} else {
			r.refresh(stale{named, repo, req.Auth, top})
		}
	}
	if err != nil || !decided {
		return d, err
	}
	if !req.Explain {
		l.vouch(d)
		remembered := *d
		r.recent.put(key, &remembered, req.Snapshot, now, l.validUntil.time())
	}
	d.Read = l.contents
	return d, nil
}

// decide gathers what is known of what the reference resolved to, looks at every candidate
// and chooses. What is left to the runtime is not decided.
func (l *lookup) decide(ctx, whole context.Context, top ocispec.Descriptor, now time.Time) (d *Decision, decided bool, err error) {
	ev := l.ev
	n := l.r.newNode(ev.Facts)
	needs, err := l.gather(ctx, top, ofNode(n))
	if err != nil {
		return nil, false, err
	}
	if d = needs.on(ev, n, ev.Facts.Fingerprint(), now.UTC()); d.Reason != "" {
		return d, false, nil
	}
	_ = l.writes.Wait() // some bodies are only in the cache
	if err := d.evaluate(whole, ev); err != nil {
		return nil, false, err
	}
	ev.warn(d.Reference)
	if err := d.choose(ctx, l.isImage); err != nil {
		return nil, false, err
	}
	ev.arose.NoReferrersAPI = l.noAPI.Load()
	d.note(ev)
	return d, true, nil
}

func parse(ref string) (reference.Named, error) {
	if len(ref) > maxReference {
		return nil, fmt.Errorf("it has %d bytes, more than any reference", len(ref))
	}
	return reference.ParseDockerRef(ref)
}

// evaluate evaluates all candidates. The bodies of artifacts are left to the cache
// then: a decision is remembered for a while, and they may be large.
func (d *Decision) evaluate(ctx context.Context, ev *evaluation) error {
	ev.priorities = d.Priorities.compared(ev.Rules.Interpreter)
	for i := range d.Candidates {
		c := &d.Candidates[i]
		found, described := ev.candidate(ctx, d.Reference, c.Digest, c.claims, c.Artifacts)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("evaluate what %s needs: %w", d.Reference, err)
		}
		c.Verdict, c.Requirements, c.Described = found.verdict, found.results, described
		c.Outcome, c.Reason = c.Verdict.Outcome, textutil.Line(c.Verdict.Reason(), maxReason)
		c.setPriorities(ev.priorities, found.requires)
	}
	for _, c := range d.Candidates {
		for i := range c.Artifacts {
			c.Artifacts[i].Body = nil
		}
	}
	return nil
}

// order orders the candidates and says why.
func (d *Decision) order() {
	d.Choice = None
	candidates := make([]selector.Candidate, len(d.Candidates))
	for i := range d.Candidates {
		candidates[i] = d.Ordered(i)
	}
	for rank, i := range selector.Order(candidates) {
		d.Candidates[i].Rank = rank + 1
		if rank == 0 {
			d.Choice = i
		}
	}
	d.Reason = Line(d.withTrust(d.sentence()))
}

// Ordered is candidate i as the order of candidates looks at it.
func (d *Decision) Ordered(i int) selector.Candidate {
	c := &d.Candidates[i]
	ordered := selector.Candidate{Verdict: c.Verdict, Priorities: c.places}
	if c.platform != nil {
		ordered.Level = platformLevel(*c.platform)
	}
	return ordered
}
