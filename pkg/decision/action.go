package decision

import (
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/pkg/policy"
)

// Action returns what the policy makes of the decision, and why in a word and in a
// sentence: the choice is pulled, or the request is forwarded or refused.
func (d *Decision) Action(answers policy.Answers) (policy.Action, policy.Reason, string) {
	switch {
	case d.NothingToChoose():
		return policy.Forwarded, d.code(), d.Reason
	case !d.hasArtifact() && answers.NoArtifact == policy.Forward:
		return policy.Forwarded, d.codeWithout(), d.withoutArtifact("is left to the runtime")
	case !d.hasArtifact() && answers.NoArtifact == policy.Refuse:
		return policy.Refused, d.codeWithout(), d.withoutArtifact("is refused")
	case d.NoneFits() && !d.Refused(), d.Refused() && answers.NoFit == policy.Forward:
		return policy.Forwarded, d.code(), d.Reason
	case d.Refused():
		return policy.Refused, d.code(), d.Reason
	default:
		return policy.Pulled, d.code(), d.Reason
	}
}

// code is the Reason in a word.
func (d *Decision) code() policy.Reason {
	switch {
	case d.NothingToChoose() && d.Unevaluated != "", d.NoneFits() && !d.Refused():
		return policy.NotEvaluated
	case d.NothingToChoose():
		return policy.OtherPlatform
	case d.Refused():
		return policy.NothingFits
	case d.Index == "":
		return policy.SingleManifest
	case len(d.Candidates) == 1:
		return policy.OneCandidate
	default:
		return policy.BestCandidate
	}
}

func (d *Decision) withoutArtifact(follows string) string {
	return Line(d.withIgnored(fmt.Sprintf("%s has no compatibility artifact and %s (policy.no_artifact)", d.Reference, follows)))
}

// codeWithout is the code where no candidate has an artifact that counts.
func (d *Decision) codeWithout() policy.Reason {
	if d.Ignored() > 0 {
		return policy.UnsignedOnly
	}
	return policy.WithoutArtifact
}

// hasArtifact reports whether any candidate has a compatibility artifact, or the
// operator's description in the place of one.
func (d *Decision) hasArtifact() bool {
	return slices.ContainsFunc(d.Candidates, func(c Candidate) bool { return len(c.Artifacts)+len(c.Described) > 0 })
}

// note keeps the cases in which the policy had to answer.
func (d *Decision) note(ev *evaluation) {
	if d.NothingToChoose() {
		return
	}
	arose := ev.arose
	arose.NoArtifact, arose.NoFit = !d.hasArtifact(), d.Refused()
	ev.arose = arose
	d.Cases = ev.cases(d.Ignored())
}
