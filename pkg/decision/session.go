package decision

import (
	"context"
	"fmt"
	"time"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
)

// GatherRequest asks what a reference needs on any node.
type GatherRequest struct {
	Reference string
	Auth      *registry.Auth
	Rules     *Rules // for what is read; they may be others when the needs are evaluated
}

// Gather reads what the reference stands for and what is stated of its images, for all
// platforms. It takes the requests of a pull and, where the index has images for several
// architectures, those of a pull on each of them; what has a digest comes from the
// cache. An error means that the reference or the registry could not be read.
func (r *Resolver) Gather(ctx context.Context, req GatherRequest) (*Needs, error) {
	if limit := req.Rules.Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	named, repo, err := r.repository(req.Reference, req.Auth)
	if err != nil {
		return nil, err
	}
	l := r.newLookup(r.newEvaluation(Snapshot{Rules: req.Rules}, named.Name()), repo, named.Name(), req.Auth)
	l.named, l.auth = named, req.Auth
	defer l.end()
	top, err := l.resolve(ctx, named)
	if err != nil {
		return nil, err
	}
	return l.gather(ctx, top, ofAny())
}

// repository parses a reference and opens its repository.
func (r *Resolver) repository(ref string, auth *registry.Auth) (reference.Named, *registry.Repository, error) {
	named, err := parse(ref)
	if err != nil {
		return nil, nil, fmt.Errorf("read reference %q: %w", Line(ref), err)
	}
	repo, err := r.registry.Repository(named, auth)
	return named, repo, err
}

// Evaluate decides about what was gathered, as a pull on a node with these facts does.
// It reads the cache and never the network.
func (e *Evaluator) Evaluate(ctx context.Context, n *Needs, s Snapshot, explain bool) (*Decision, error) {
	session := e.Session(s)
	session.ev.explains = explain
	return session.Decide(ctx, n)
}

// Session decides about many images on one node. What several of them bring, such as a
// body that a build system attaches to each, is evaluated once. It is for one goroutine
// at a time.
type Session struct {
	ev     *evaluation
	node   node
	facts  string
	shared map[policy.Answers]shared
}

// shared is what images share to which the same answers of the policy apply.
type shared struct {
	bodies map[bodyKey]*body
	memo   map[string]finding
}

// Session returns a session for a node.
func (e *Evaluator) Session(s Snapshot) *Session {
	return &Session{
		ev: e.newEvaluation(s, ""), node: e.newNode(s.Facts), facts: s.Facts.Fingerprint(), shared: map[policy.Answers]shared{},
	}
}

// Sessions makes sessions for many nodes that parse what images bring once for all of
// them. It is safe for use by many goroutines.
type Sessions struct {
	evaluator *Evaluator
	rules     *Rules
	parsed    *parsedBodies
}

// Sessions returns a Sessions by one state of the rules.
func (e *Evaluator) Sessions(rules *Rules) *Sessions {
	return &Sessions{e, rules, newParsedBodies()}
}

// On returns a session for a node.
func (s *Sessions) On(known *facts.Facts) *Session {
	session := s.evaluator.Session(Snapshot{Rules: s.rules, Facts: known})
	session.ev.parsed = s.parsed
	return session
}

// Decide decides about an image as Evaluator.Evaluate does. The time of the decision is
// zero, and of the cases in which a policy had to answer those of bodies that an earlier
// image had are left out.
func (s *Session) Decide(ctx context.Context, n *Needs) (*Decision, error) {
	s.begin(n)
	d := n.on(s.ev, s.node, s.facts, time.Time{})
	if d.Reason != "" {
		return d, nil
	}
	if err := d.evaluate(ctx, s.ev); err != nil {
		return nil, err
	}
	if err := d.choose(ctx, unread); err != nil {
		return nil, err
	}
	s.ev.arose.NoReferrersAPI = n.NoReferrersAPI
	d.note(s.ev)
	return d, nil
}

// begin makes the session ready for another image.
func (s *Session) begin(n *Needs) {
	e := s.ev
	e.image++
	e.answers, e.arose, e.left, e.unreadable = e.Rules.Policy.For(n.Repository), policy.Arose{}, selector.MaxPullSteps, nil
	e.trust = e.Rules.Trust.For(n.Repository)
	own, ok := s.shared[e.answers]
	if !ok {
		own = shared{map[bodyKey]*body{}, map[string]finding{}}
		s.shared[e.answers] = own
	}
	e.bodies, e.memo = own.bodies, own.memo
}

// Asker collects what images require, whatever the node. What several images bring is
// visited once. It is for one goroutine at a time.
type Asker struct{ session *Session }

// Asker returns an Asker that calls visit with requirements, in parts. They must not be
// changed.
func (e *Evaluator) Asker(rules *Rules, visit func([]compat.Requirement)) *Asker {
	s := e.Session(Snapshot{Rules: rules, Facts: facts.New("", "", facts.NewFeatures())})
	s.ev.visit = visit
	return &Asker{s}
}

// Ask visits what all images of a reference require. What is too costly to evaluate on a
// node without facts is left out, as it is on every node.
func (a *Asker) Ask(ctx context.Context, n *Needs) {
	a.session.begin(n)
	for e, within := range leaves(n.Entries, n.outermost()) {
		if !n.isIndex() || e.isImage() {
			c := n.candidate(a.session.ev, e, within)
			a.session.ev.candidate(ctx, n.Reference, c.Digest, c.claims, c.Artifacts)
		}
	}
}
