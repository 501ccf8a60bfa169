package decision

import (
	"fmt"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// Action returns what the policy makes of the decision, and why in a sentence:
// the pull is to be journal.Pulled as chosen, journal.Forwarded or
// journal.Refused.
func (d *Decision) Action(answers policy.Answers) (decisionlog.Action, string) {
	switch {
	case d.NothingToChoose():
		return decisionlog.Forwarded, d.Reason
	case !d.attached() && answers.NoArtifact == policy.Forward:
		return decisionlog.Forwarded, d.silent("is left to the runtime")
	case !d.attached() && answers.NoArtifact == policy.Refuse:
		return decisionlog.Refused, d.silent("is refused")
	case d.Refused() && answers.NoFit == policy.Forward:
		return decisionlog.Forwarded, d.Reason
	case d.Refused():
		return decisionlog.Refused, d.Reason
	default:
		return decisionlog.Pulled, d.Reason
	}
}

func (d *Decision) silent(follows string) string {
	return Line(fmt.Sprintf("%s has no compatibility artifact and %s (policy.no_artifact)", d.Reference, follows))
}

// attached reports whether any candidate has a compatibility artifact.
func (d *Decision) attached() bool {
	for i := range d.Candidates {
		if len(d.Candidates[i].Artifacts) > 0 {
			return true
		}
	}
	return false
}

// note keeps the cases in which a policy had to answer, in a fixed order.
func (d *Decision) note(h *hearing) {
	if d.NothingToChoose() {
		return
	}
	for _, c := range []struct {
		arose       bool
		key, answer string
	}{
		{!d.attached(), "no_artifact", h.answers.NoArtifact},
		{h.noAPI, "no_referrers_api", h.answers.NoReferrersAPI},
		{h.malformed, "malformed_artifact", h.answers.MalformedArtifact},
		{h.unknown, "unknown_attribute", h.answers.UnknownAttribute},
		{d.Refused(), "no_fit", h.answers.NoFit},
	} {
		if c.arose {
			d.Cases = append(d.Cases, decisionlog.Case{Key: c.key, Answer: c.answer})
		}
	}
}
