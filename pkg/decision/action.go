package decision

import (
	"fmt"

	"github.com/imagefit/imagefit/pkg/policy"
)

// Action returns what the policy makes of the decision, and why in a sentence:
// the pull is to be journal.Pulled as chosen, journal.Forwarded or
// journal.Refused.
func (d *Decision) Action(answers policy.Answers) (policy.Action, string) {
	switch {
	case d.NothingToChoose():
		return policy.Forwarded, d.Reason
	case !d.attached() && answers.NoArtifact == policy.Forward:
		return policy.Forwarded, d.silent("is left to the runtime")
	case !d.attached() && answers.NoArtifact == policy.Refuse:
		return policy.Refused, d.silent("is refused")
	case d.Refused() && answers.NoFit == policy.Forward:
		return policy.Forwarded, d.Reason
	case d.Refused():
		return policy.Refused, d.Reason
	default:
		return policy.Pulled, d.Reason
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

// note keeps the cases in which the policy had to answer.
func (d *Decision) note(h *hearing) {
	if d.NothingToChoose() {
		return
	}
	d.Cases = h.answers.Cases(policy.Arose{
		NoArtifact: !d.attached(), NoReferrersAPI: h.noAPI, MalformedArtifact: h.malformed,
		UnknownAttribute: h.unknown, NoFit: d.Refused(),
	})
}
