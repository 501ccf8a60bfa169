package decision

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Answer is a policy's answer to something that cannot be understood.
type Answer string

// The answers a policy can give.
const (
	AnswerUnknown Answer = "unknown" // the candidate ranks behind those that are fully known
	AnswerIgnore  Answer = "ignore"  // as if it had not been said
	AnswerUnfit   Answer = "unfit"   // the candidate does not fit
)

// Policy says what follows from what cannot be understood.
type Policy struct {
	MalformedArtifact Answer
	UnknownAttribute  Answer
}

// Judge holds what an image asks for against the facts of this moment. It
// reads the cache and never the network.
type Judge struct {
	Cache       *cache.Cache
	Interpreter *compat.Interpreter
	Facts       func() *hostfacts.Facts
	Policy      Policy
	Log         *slog.Logger
}

// verdict evaluates a platform and the artifacts that count for it.
func (j *Judge) verdict(facts *hostfacts.Facts, platform *ocispec.Platform, artifacts []Artifact) selector.Verdict {
	var reqs []compat.Requirement
	if platform != nil {
		reqs = platformRequirements(*platform)
	}
	for _, a := range artifacts {
		reqs = append(reqs, j.requirements(a)...)
	}
	return selector.Evaluate(facts, reqs)
}

// requirements returns what one artifact asks for. One that cannot be read asks
// for something nobody knows, which the policy answers.
func (j *Judge) requirements(a Artifact) []compat.Requirement {
	if a.Problem != "" {
		return []compat.Requirement{j.malformed(a, errors.New(a.Problem))}
	}
	body := a.body
	if body == nil {
		kept, err := j.Cache.Blob(a.Layer)
		if err != nil {
			return []compat.Requirement{{Key: a.name(), Unclear: Line(err.Error())}}
		}
		body = kept
	}
	attributes, err := compat.ParseOutline(body)
	if err != nil {
		return []compat.Requirement{j.malformed(a, err)}
	}
	reqs := j.Interpreter.Requirements(attributes)
	for i := range reqs {
		if reqs[i].Unclear != "" {
			j.Policy.UnknownAttribute.apply(&reqs[i])
		}
	}
	return reqs
}

func (j *Judge) malformed(a Artifact, err error) compat.Requirement {
	req := compat.Requirement{Key: a.name(), Unclear: Line(err.Error())}
	j.Policy.MalformedArtifact.apply(&req)
	return req
}

func (a Answer) apply(req *compat.Requirement) {
	switch a {
	case AnswerIgnore:
		req.Importance = compat.Informative
	case AnswerUnfit:
		req.Strict = true
	}
}

// problem says why an artifact that was just fetched cannot be read; it is
// empty for one that can.
func (a Artifact) problem() string {
	if a.Problem != "" {
		return a.Problem
	}
	if _, err := compat.ParseOutline(a.body); err != nil {
		return Line(err.Error())
	}
	return ""
}

func (a Artifact) name() string {
	d := a.Layer
	if d == "" {
		d = a.Manifest
	}
	return "compatibility artifact " + short(d)
}

// short is enough of a digest for a person to find it by. What an artifact
// gives as a digest need not be one.
func short(d digest.Digest) string {
	const length = len("sha256:") + 12
	return string(d[:min(length, len(d))])
}

// maxExplained is how many candidates of an image are kept with their
// requirements in words.
const maxExplained = 32

// Image is what is kept of an image under its id, for admission.
type Image struct {
	Reference string            `json:"reference"`
	Manifest  digest.Digest     `json:"manifest"`
	Platform  *ocispec.Platform `json:"platform,omitempty"`
	Artifacts []Artifact        `json:"artifacts,omitempty"`
	Decision  *Decision         `json:"decision"`
}

// Remember keeps what is known of candidate i of the decision under the image
// id that the runtime gave it.
func (j *Judge) Remember(imageID string, d *Decision, i int) error {
	if i < 0 || i >= len(d.Candidates) {
		return fmt.Errorf("remember image %s: there is no candidate %d", imageID, i)
	}
	c := d.Candidates[i]
	// The verdicts in words of very many candidates could outgrow what the cache
	// takes, and an image that is not kept is one that admission knows nothing of.
	kept := *d
	kept.Candidates = slices.Clone(d.Candidates)
	for n, i := range d.ByPreference() {
		if n >= maxExplained {
			kept.Candidates[i].Requirements = nil
		}
	}
	return j.Cache.PutImage(imageID, Image{
		Reference: d.Reference, Manifest: c.Digest, Platform: c.descriptor.Platform,
		Artifacts: c.Artifacts, Decision: &kept,
	})
}

// Recall returns what is kept under an image id, and how the image fits the
// node now. The error is cache.ErrMiss for an image nobody decided about.
func (j *Judge) Recall(imageID string) (*Image, selector.Verdict, error) {
	var img Image
	if err := j.Cache.Image(imageID, &img); err != nil {
		return nil, selector.Verdict{}, err
	}
	return &img, j.verdict(j.Facts(), img.Platform, img.Artifacts), nil
}
