package decision

import (
	"cmp"
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
)

// unpackless is why a variant that the runtime pulls would never run.
const unpackless = "this one is configured not to"

// evaluation evaluates the requirements of images of one repository on a snapshot
// of policy and facts. It notes in which cases a policy had to answer.
type evaluation struct {
	*Evaluator
	Snapshot
	answers    policy.Answers
	arose      policy.Arose
	parsed     map[bodyKey][]compat.Requirement
	unreadable []unreadable
}

// bodyKey names a body and the types that it came under.
type bodyKey struct {
	kind  referrers.Kind
	layer digest.Digest
}

// unreadable is an artifact that cannot be read.
type unreadable struct {
	manifest digest.Digest
	problem  string
}

func (e *Evaluator) newEvaluation(s Snapshot, repository string) *evaluation {
	return &evaluation{
		Evaluator: e, Snapshot: s, answers: s.Rules.Policy.For(repository),
		parsed: map[bodyKey][]compat.Requirement{},
	}
}

// verdict evaluates what a candidate claims of itself and its artifacts.
func (e *evaluation) verdict(claims EntryClaims, artifacts []referrers.Artifact) selector.Verdict {
	reqs := e.ofClaims(claims)
	for _, a := range artifacts {
		reqs = append(reqs, e.ofArtifact(a)...)
	}
	return selector.Evaluate(e.Facts, reqs)
}

func (e *evaluation) ofClaims(claims EntryClaims) []compat.Requirement {
	reqs := dialect.NVIDIARequirements(claims.Environment)
	if p, ok := claims.platform(); ok {
		reqs = append(platformRequirements(p), reqs...)
		if e.runtime != nil && !e.runtime.WillUnpack(p) {
			reqs = append(reqs, compat.Requirement{Key: "a runtime that unpacks it", Unclear: unpackless, Strict: true})
		}
	}
	own, err := dialect.EntryRequirements(e.Rules.Interpreter, claims.Platform, claims.Annotations, e.Rules.Prefer)
	if err != nil {
		return append(reqs, e.malformed("platform", err))
	}
	return append(reqs, e.answered(own)...)
}

// platform is the platform as image-spec has it.
func (c EntryClaims) platform() (p ocispec.Platform, ok bool) {
	return p, len(c.Platform) > 0 && json.Unmarshal(c.Platform, &p) == nil
}

// ofArtifact returns what one artifact requires. A body that several candidates
// share is parsed once.
func (e *evaluation) ofArtifact(a referrers.Artifact) []compat.Requirement {
	if a.Problem != "" {
		return e.ofUnreadable(a, errors.New(a.Problem))
	}
	key := bodyKey{referrers.Kind{Artifact: a.Type, Layer: a.MediaType}, a.Layer}
	reqs, known := e.parsed[key]
	if !known {
		reqs = e.parse(a)
		e.parsed[key] = reqs
	}
	return reqs
}

func (e *evaluation) parse(a referrers.Artifact) []compat.Requirement {
	body := a.Body
	if body == nil {
		var err error
		if body, err = e.cache.Blob(a.Layer); err != nil {
			return []compat.Requirement{{Key: nameOf(a), Unclear: Line(err.Error())}}
		}
	}
	dialect, ok := dialect.Detect(a.Type, a.MediaType, body)
	if !ok {
		return e.ofUnreadable(a, fmt.Errorf("no dialect has the type %s with the layer type %s", a.Type, a.MediaType))
	}
	reqs, err := dialect.Parse(e.Rules.Interpreter, body)
	if err != nil {
		return e.ofUnreadable(a, err)
	}
	return e.answered(reqs)
}

func (e *evaluation) ofUnreadable(a referrers.Artifact, err error) []compat.Requirement {
	found := unreadable{a.Manifest, Line(err.Error())}
	if !slices.Contains(e.unreadable, found) {
		e.unreadable = append(e.unreadable, found)
	}
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

// warn logs each artifact that could not be read, once for all the candidates
// that it applies to.
func (e *evaluation) warn(reference string) {
	for _, a := range e.unreadable {
		e.log.Warn("cannot read compatibility artifact", "reference", reference,
			"artifact", Line(a.manifest.String()), "problem", a.problem, "policy", e.answers.MalformedArtifact)
	}
}
