package decision

import (
	"log/slog"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Runtime is what is known of the runtime that pulls.
type Runtime interface {
	// WillUnpack tells whether it makes a container of what it pulled for a
	// platform; not every configuration of it does.
	WillUnpack(p ocispec.Platform) bool
	// Matches is what it looks for itself in an index; not every version of it
	// takes all that the machine can run.
	Matches() platforms.MatchComparer
}

// Options are what an Evaluator is made of.
type Options struct {
	Cache *cache.Cache
	Facts func() *facts.Facts // of this moment
	Rules func() *Rules       // of this moment
	// Runtime is the one that pulls, or nil.
	Runtime Runtime
	Log     *slog.Logger
}

// Evaluator evaluates the requirements of images. It reads the cache and never the
// network.
type Evaluator struct {
	cache   *cache.Cache
	facts   func() *facts.Facts
	rules   func() *Rules
	runtime Runtime
	log     *slog.Logger
	parsing *budget // of large bodies
}

// NewEvaluator returns an Evaluator.
func NewEvaluator(o Options) *Evaluator {
	return &Evaluator{
		cache: o.Cache, facts: o.Facts, rules: o.Rules, runtime: o.Runtime, log: o.Log,
		parsing: newBudget(maxParsed),
	}
}

// Snapshot returns the rules and facts of this moment.
func (e *Evaluator) Snapshot() Snapshot { return Snapshot{Rules: e.rules(), Facts: e.facts()} }

// Checked is the verdict on a body that is not attached to any image.
type Checked struct {
	Dialect      string              `json:"dialect,omitempty"`
	Origin       string              `json:"origin,omitempty"` // file and row, of a description
	Outcome      selector.Outcome    `json:"outcome"`
	Reason       string              `json:"reason"`
	Requirements []RequirementResult `json:"requirements"`
}

// Check evaluates a body of a dialect.
func (e *Evaluator) Check(d dialect.Dialect, text []byte) (*Checked, error) {
	ev := e.newEvaluation(e.Snapshot(), "")
	reqs, err := d.Parse(ev.Rules.Interpreter, text)
	if err != nil {
		return nil, err
	}
	ev.explains = true
	file := &body{key: "this file", size: len(text), parse: func() []compat.Requirement { return ev.answered(reqs) }}
	ev.withinBudget([]*body{file})
	checked := checkedOf(ev.findingOf(file))
	checked.Dialect = d.Name
	return checked, nil
}

// CheckDescription evaluates what the operator states about images.
func (e *Evaluator) CheckDescription(d *description.Description) *Checked {
	ev := e.newEvaluation(e.Snapshot(), "")
	ev.explains = true
	return checkedOf(ev.evaluate(ev.answered(compat.Clone(d.Requirements))))
}

func checkedOf(f finding) *Checked {
	v := f.verdict
	reason := "this node meets the requirements of the file"
	switch v.Outcome {
	case selector.Unfit:
		reason = "this node does not meet the requirements of the file: it " + v.Reason()
	case selector.Unknown:
		reason = "cannot determine whether this node meets the requirements of the file: it " + v.Reason()
	}
	return &Checked{Outcome: v.Outcome, Reason: Line(reason), Requirements: f.results}
}

// short is enough of a digest for a person to find it by. What an artifact
// gives as a digest need not be one.
func short(d digest.Digest) string {
	const length = len("sha256:") + 12
	return string(d[:min(length, len(d))])
}
