package decision

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

// unpackless is why a variant that the runtime pulls would never run.
const unpackless = "this one is configured not to"

// hearing holds what images of one repository ask for against the facts, by the
// rules of one moment. It notes in which cases a policy had to answer.
type hearing struct {
	*Evaluator
	rules   *Rules
	answers policy.Answers
	facts   *facts.Facts

	malformed, unknown, noAPI bool // whether there was such a thing

	heard map[heard][]compat.Requirement // what each body asks for
	odd   []oddity
}

// heard names a body and the types that it came under.
type heard struct {
	artifactType, mediaType string
	layer                   digest.Digest
}

// oddity is an artifact that cannot be read.
type oddity struct {
	manifest digest.Digest
	problem  string
}

func (e *Evaluator) hear(s Snapshot, repository string) *hearing {
	return &hearing{
		Evaluator: e, rules: s.Rules, answers: s.Rules.Policy.For(repository), facts: s.Facts,
		heard: map[heard][]compat.Requirement{},
	}
}

// verdict evaluates what a candidate says of itself and the artifacts that count
// for it.
func (h *hearing) verdict(claims EntryClaims, artifacts []Artifact) selector.Verdict {
	reqs := h.claimRequirements(claims)
	for _, a := range artifacts {
		reqs = append(reqs, h.requirements(a)...)
	}
	return selector.Evaluate(h.facts, reqs)
}

func (h *hearing) claimRequirements(claims EntryClaims) []compat.Requirement {
	reqs := compat.NVIDIARequirements(claims.Environment)
	if p, ok := claims.platform(); ok {
		reqs = append(platformRequirements(p), reqs...)
		if h.unpacks != nil && !h.unpacks(p) {
			reqs = append(reqs, compat.Requirement{Key: "a runtime that unpacks it", Unclear: unpackless, Strict: true})
		}
	}
	own, err := compat.EntryRequirements(h.rules.Interpreter, claims.Platform, claims.Annotations, h.rules.Prefer)
	if err != nil {
		return append(reqs, h.unreadable("platform", err))
	}
	return append(reqs, h.answered(own)...)
}

// platform is the platform as image-spec has it.
func (c EntryClaims) platform() (p ocispec.Platform, ok bool) {
	return p, len(c.Platform) > 0 && json.Unmarshal(c.Platform, &p) == nil
}

// requirements returns what one artifact asks for. One that cannot be read asks
// for something nobody knows, which the policy answers. A body that holds for
// several candidates is read once.
func (h *hearing) requirements(a Artifact) []compat.Requirement {
	key := heard{a.Type, a.MediaType, a.Layer}
	reqs, known := h.heard[key]
	if known && a.Problem == "" {
		return reqs
	}
	reqs = h.read(a)
	if a.Problem == "" {
		h.heard[key] = reqs
	}
	return reqs
}

func (h *hearing) read(a Artifact) []compat.Requirement {
	if a.Problem != "" {
		return h.unreadableArtifact(a, errors.New(a.Problem))
	}
	body := a.body
	if body == nil {
		kept, err := h.cache.Blob(a.Layer)
		if err != nil {
			return []compat.Requirement{{Key: a.name(), Unclear: Line(err.Error())}}
		}
		body = kept
	}
	reqs, err := a.parse(h.rules.Interpreter, body)
	if err != nil {
		return h.unreadableArtifact(a, err)
	}
	return h.answered(reqs)
}

func (h *hearing) unreadableArtifact(a Artifact, err error) []compat.Requirement {
	found := oddity{a.Manifest, Line(err.Error())}
	if !slices.Contains(h.odd, found) {
		h.odd = append(h.odd, found)
	}
	return []compat.Requirement{h.unreadable(a.name(), err)}
}

func (a Artifact) parse(in *compat.Interpreter, body []byte) ([]compat.Requirement, error) {
	dialect, ok := compat.Detect(a.Type, a.MediaType, body)
	if !ok {
		return nil, fmt.Errorf("no dialect has the type %s with the layer type %s", a.Type, a.MediaType)
	}
	return dialect.Parse(in, body)
}

// answered lets the policy answer what is unclear, wherever it stands.
func (h *hearing) answered(reqs []compat.Requirement) []compat.Requirement {
	compat.Walk(reqs, func(r *compat.Requirement) {
		if r.Unclear != "" {
			h.unknown = true
			answer(h.answers.UnknownAttribute, r)
		}
	})
	return reqs
}

// unreadable is the requirement in the place of what cannot be read.
func (h *hearing) unreadable(key string, err error) compat.Requirement {
	h.malformed = true
	req := compat.Requirement{Key: key, Unclear: Line(err.Error())}
	answer(h.answers.MalformedArtifact, &req)
	return req
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
