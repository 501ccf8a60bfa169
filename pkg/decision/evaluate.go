package decision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
	"github.com/imagefit/imagefit/pkg/trust"
)

// unpackless is why a variant that the runtime pulls would never run.
const unpackless = "this one is configured not to"

// evaluation evaluates the requirements of images of one repository on a snapshot
// of policy and facts. It notes in which cases a policy had to answer.
type evaluation struct {
	*Evaluator
	Snapshot
	answers    policy.Answers
	trust      *trust.Rule // whose metadata counts
	arose      policy.Arose
	explains   bool               // findings say what was evaluated
	priorities *Priorities        // that findings are compared with, or nil
	bodies     map[bodyKey]*body  // that candidates may share
	parsed     *parsedBodies      // that nodes share, or nil
	memo       map[string]finding // of candidates, in a session
	unreadable []unreadable
	left       int                        // steps, for all candidates together
	image      int                        // that is evaluated, of several
	sets       map[string]bool            // of facts on which the findings rest; nil where nothing asks for them
	visit      func([]compat.Requirement) // of whom asks for all requirements, or nil
}

// finding is the verdict on some of what a candidate requires: on one body, say, that
// all the candidates of an index share.
type finding struct {
	verdict  selector.Verdict    // in brief
	results  []RequirementResult // for who wants an explanation
	requires conditions          // where there are priorities
}

// and is the finding on both together.
func (f finding) and(g finding) finding {
	room := min(maxRequirements-len(f.results), len(g.results))
	return finding{
		f.verdict.And(g.verdict), append(slices.Clip(f.results), g.results[:room]...), f.requires.and(g.requires),
	}
}

// bodyKey names a body and the types that it came under.
type bodyKey struct {
	kind  referrers.Kind
	layer digest.Digest
}

// unreadable is an artifact that cannot be read, or is too costly to evaluate.
type unreadable struct {
	manifest  digest.Digest
	problem   string
	tooCostly bool
}

func (e *Evaluator) newEvaluation(s Snapshot, repository string) *evaluation {
	return &evaluation{
		Evaluator: e, Snapshot: s, answers: s.Rules.Policy.For(repository), trust: s.Rules.Trust.For(repository),
		bodies: map[bodyKey]*body{}, left: selector.MaxPullSteps,
	}
}

// candidate evaluates what a manifest under a reference claims of itself, its artifacts, and
// what the operator states about it. What is parsed for it is in memory all at once, so it
// waits for its share of what may be.
func (e *evaluation) candidate(
	ctx context.Context, ref string, manifest digest.Digest, claims EntryClaims, artifacts []referrers.Artifact,
) (finding, []Described) {
	memo, memorable := e.memoKey(claims, artifacts)
	if known, ok := e.memo[memo]; memorable && ok {
		return known, nil
	}
	stated := e.descriptions(ref, manifest, claims)
	bodies, attached, inherits := []*body{e.ofEntry(claims)}, []attachedBody(nil), false
	for _, a := range artifacts {
		if isReplaced(stated) {
			break
		}
		if a.Base != "" && !e.Rules.InheritBase {
			continue
		}
		if b := e.ofArtifact(a); !slices.Contains(bodies, b) { // an artifact may list it twice
			bodies, attached, inherits = append(bodies, b), append(attached, attachedBody{b, a.Base}), inherits || a.Base != ""
		}
	}
	release, err := e.parsing.reserve(ctx, int64(len(claims.Platform)+parsedBytes(bodies)))
	if err != nil { // the pull is over, and what is found is not used
		return finding{}, nil
	}
	defer release()
	f := e.evaluate(e.noted(e.ofClaims(claims)))
	e.withinBudget(bodies)
	if len(stated) > 0 || inherits || len(attached) > 1 && bytesOf(bodies) <= maxTogether {
		f = f.and(e.findingOf(bodies[0]))
		f = f.and(e.evaluate(e.noted(e.described(stated, attached))))
		if memorable && isCheap(bodies) {
			e.memo[memo] = f
		}
		return f, describedBy(stated)
	}
	for _, b := range bodies {
		f = f.and(e.findingOf(b))
	}
	if memorable && isCheap(bodies) {
		e.memo[memo] = f
	}
	return f, nil
}

func (e *evaluation) evaluate(reqs []compat.Requirement) finding {
	verdict := selector.Evaluate(e.Facts, reqs)
	f := finding{verdict: verdict.Brief()}
	if e.explains {
		f.results = results(verdict)
	}
	if e.priorities != nil {
		f.requires = e.priorities.conditionsOf(reqs)
	}
	return f
}

// maxTogether bounds the artifacts of a candidate that are evaluated together, so that
// what several of them ask for counts once. Larger ones are evaluated one by one, each
// once for all candidates.
const maxTogether = 64 << 10

func bytesOf(bodies []*body) int {
	n := 0
	for _, b := range bodies {
		n += b.size
	}
	return n
}

// noted notes requirements and the sets of facts that they are about, where they are asked for.
// Whether a body is too costly depends on them as well.
func (e *evaluation) noted(reqs []compat.Requirement) []compat.Requirement {
	if e.visit != nil {
		e.visit(reqs)
	}
	if e.sets != nil {
		compat.Walk(reqs, func(r *compat.Requirement) { e.sets[r.Set] = true })
	}
	return reqs
}

// ofClaims returns what follows from the platform and the variables of an image.
func (e *evaluation) ofClaims(claims EntryClaims) []compat.Requirement {
	reqs := dialect.NVIDIARequirements(claims.Environment)
	if p, ok := claims.platform(); ok {
		reqs = append(platformRequirements(p), reqs...)
		if e.runtime != nil && !e.runtime.WillUnpack(p) {
			reqs = append(reqs, compat.Requirement{Key: "a runtime that unpacks it", Unclear: unpackless, Strict: true})
		}
	}
	return reqs
}

// ofEntry returns what the entry of the index states itself.
func (e *evaluation) ofEntry(claims EntryClaims) *body {
	if e.doubtsIndex(claims.Signer, "") != "" && claims.Index != "" {
		return &body{key: "platform", parse: func() []compat.Requirement { return nil }}
	}
	size := len(claims.Platform)
	for key, value := range claims.Annotations {
		size += len(key) + len(value)
	}
	return &body{key: "platform", size: size, parse: func() []compat.Requirement {
		own, err := dialect.EntryRequirements(e.Rules.Interpreter, claims.Platform, claims.Annotations, e.Rules.Prefer)
		if err != nil {
			return []compat.Requirement{e.malformed("platform", err)}
		}
		return e.answered(own)
	}}
}

// platform is the platform as image-spec has it.
func (c EntryClaims) platform() (p ocispec.Platform, ok bool) {
	return p, len(c.Platform) > 0 && json.Unmarshal(c.Platform, &p) == nil
}

// ofArtifact returns the body of an artifact: the same one for all candidates that share
// it.
func (e *evaluation) ofArtifact(a referrers.Artifact) *body {
	b := &body{key: nameOf(a), manifest: a.Manifest}
	if a.Problem != "" {
		b.parse = func() []compat.Requirement { return e.ofUnreadable(a, errors.New(a.Problem)) }
		return b
	}
	key := bodyKey{referrers.Kind{Artifact: a.Type, Layer: a.MediaType}, a.Layer}
	if known, ok := e.bodies[key]; ok {
		return known
	}
	e.bodies[key] = b
	size := max(a.Size, int64(len(a.Body)))
	if size == 0 { // Remember does not keep it
		size, _ = e.cache.BlobSize(a.Layer)
	}
	b.size, b.parse = int(size), func() []compat.Requirement { return e.parse(a) }
	if e.parsed != nil {
		shared := parsedKey{e.answers, key}
		b.parse = func() []compat.Requirement {
			return e.parsed.get(shared, b.size, func() []compat.Requirement { return e.parse(a) })
		}
	}
	return b
}

func (e *evaluation) parse(a referrers.Artifact) []compat.Requirement {
	layer := a.Body
	if layer == nil {
		var err error
		if layer, err = e.cache.Blob(a.Layer); err != nil {
			return []compat.Requirement{{Key: nameOf(a), Unclear: Line(err.Error())}}
		}
	}
	text, err := a.Text(layer)
	if err != nil {
		return e.ofUnreadable(a, err)
	}
	reqs, ok, err := dialect.Requirements(e.Rules.Interpreter, a.Type, a.MediaType, text)
	switch {
	case !ok:
		return e.ofUnreadable(a, fmt.Errorf("no dialect has the type %s with the layer type %s", a.Type, a.MediaType))
	case err != nil:
		return e.ofUnreadable(a, err)
	}
	return e.answered(reqs)
}

func (e *evaluation) ofUnreadable(a referrers.Artifact, err error) []compat.Requirement {
	e.note(unreadable{manifest: a.Manifest, problem: Line(err.Error())})
	return []compat.Requirement{e.malformed(nameOf(a), err)}
}

// nameOf names an artifact as users read it.
func nameOf(a referrers.Artifact) string {
	return "compatibility artifact " + short(cmp.Or(a.Layer, a.Manifest))
}

// malformed is the requirement in the place of what cannot be read. Whether a node
// meets it is unknown, so the policy answers.
func (e *evaluation) malformed(key string, err error) compat.Requirement {
	e.arose.MalformedArtifact = true
	req := compat.Requirement{Key: key, Unclear: Line(err.Error())}
	answer(e.answers.MalformedArtifact, &req)
	return req
}

// answered lets the policy answer what is unclear, at any depth.
func (e *evaluation) answered(reqs []compat.Requirement) []compat.Requirement {
	compat.Walk(reqs, func(r *compat.Requirement) {
		if r.Unclear != "" {
			e.arose.UnknownAttribute = true
			answer(e.answers.UnknownAttribute, r)
		}
	})
	return reqs
}

// answer makes of something unclear what the policy says.
func answer(answers string, req *compat.Requirement) {
	switch answers {
	case policy.Ignore:
		req.Importance = compat.Informative
	case policy.Unfit:
		req.Strict = true
	}
}

// note keeps what is wrong with an artifact for warn, once.
func (e *evaluation) note(found unreadable) {
	if found.manifest != "" && !slices.Contains(e.unreadable, found) {
		e.unreadable = append(e.unreadable, found)
	}
}

// warn logs each artifact that could not be read or evaluated, once for all the
// candidates that it applies to.
func (e *evaluation) warn(reference string) {
	for _, a := range e.unreadable {
		message, answer := "cannot read compatibility artifact", e.answers.MalformedArtifact
		if a.tooCostly {
			message, answer = "compatibility artifact is too costly to evaluate", e.answers.TooCostly
		}
		e.log.Warn(message, "reference", reference,
			"artifact", Line(a.manifest.String()), "problem", a.problem, "policy", answer)
	}
}
