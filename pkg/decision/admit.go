package decision

import (
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Verdicts are those on images, by their IDs.
type Verdicts interface {
	// Snapshot returns the current rules and facts.
	Snapshot() Snapshot
	// Lookup returns the verdict on an image, or why there is none.
	Lookup(imageID string) (Recalled, policy.Reason)
}

// Container is what the decision about a container depends on, beside facts and rules.
type Container struct {
	ImageID string   // "" where it is not known
	Names   []string // references by which the image may have been requested
	Pod     policy.Pod
	// WithoutNVIDIA is true where the container turns the check of NVIDIA's variables off.
	WithoutNVIDIA bool
}

// Admit completes the record of a container: whether it may be created, and why not.
func (c Container) Admit(verdicts Verdicts, rec decisionlog.Record) decisionlog.Record {
	snapshot := verdicts.Snapshot()
	if c.ImageID == "" {
		return unchecked(rec, policy.NotIdentified)
	}
	recalled, why := verdicts.Lookup(c.ImageID)
	if why != "" {
		return unchecked(rec, why)
	}
	if c.WithoutNVIDIA {
		recalled = recalled.WithoutNVIDIA()
	}
	image, ok := recalled.Of(c.Names...)
	if !ok {
		answers := snapshot.Rules.Policy.For(RepositoryOf(rec.Reference))
		rec.Cases = answers.Cases(policy.Arose{UnknownName: true})
		if answers.UnknownName != policy.ByID {
			return unchecked(rec, policy.OtherName)
		}
		image = recalled.Best()
	}
	rec.Cases = append(rec.Cases, image.Cases...)
	rec.SignedBy, rec.Ignored = image.SignedBy, image.Ignored
	if rec.Reference == "" {
		rec.Reference = image.Reference
	}
	named := RepositoryOf(rec.Reference)
	if IsImageID(rec.Reference) { // which has no repository
		named = image.Repository
	}
	effective := policy.EffectiveFor(snapshot.Rules.Policy, named, c.Pod)
	rec.Mode, rec.Exempt, rec.Image, rec.Manifest = effective.Mode, effective.Exempt, c.ImageID, image.Manifest.String()
	switch {
	case image.Outcome != selector.Unfit:
		return rec
	case effective.Enforced():
		rec.Action = policy.Refused
	default:
		rec.Would = policy.Refused
	}
	rec.Reason = image.Refusal(rec.Reference)
	return rec
}

// unchecked admits a container without a check.
func unchecked(rec decisionlog.Record, why policy.Reason) decisionlog.Record {
	rec.ReasonCode = why
	rec.Reason = map[policy.Reason]string{
		policy.NotIdentified:   "the runtime does not tell which image it is",
		policy.NotKnown:        "the image was not looked up: nothing is known of it",
		policy.NotEvaluatedYet: "what is known of the image is not evaluated yet",
		policy.OtherName:       "the image is known under other names only (policy.unknown_name)",
		policy.Starting:        "the plugin has just started and not evaluated all images yet",
	}[why]
	return rec
}
