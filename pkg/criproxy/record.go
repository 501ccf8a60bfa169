package criproxy

import (
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// withoutPull makes the record of a call that never came to a decision.
func withoutPull(
	req *runtimeapi.PullImageRequest, start time.Time, action policy.Action, code policy.Reason, reason string, err error,
) decisionlog.Record {
	r := decisionlog.Record{
		Time: start.UTC(), Action: action, Reference: req.GetImage().GetImage(),
		Namespace: req.GetSandboxConfig().GetMetadata().GetNamespace(), Pod: req.GetSandboxConfig().GetMetadata().GetName(),
		ReasonCode: code, Reason: reason, Took: time.Since(start),
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// record makes the one record of the pull.
func (p *pull) record(o outcome, start time.Time) decisionlog.Record {
	r := decisionlog.Record{
		Time: start.UTC(), Action: o.action, Would: o.plan.would, Mode: p.policy.Mode, Exempt: p.policy.Exempt,
		Reference: p.reference(), Namespace: p.pod.Namespace, Pod: p.req.GetSandboxConfig().GetMetadata().GetName(),
		Image: o.image, Cases: o.plan.cases, ReasonCode: o.code(), Reason: o.plan.reason, Decided: o.plan.took, Took: time.Since(start), InsteadOf: o.insteadOf,
	}
	if d := o.plan.decision; d != nil {
		r.Candidates, r.Entries = len(d.Candidates), entriesOf(d)
		r.SignedBy, r.Ignored, r.Kept = d.SignedBy(), d.Ignored(), d.Kept()
		if o.candidate != decision.None {
			r.Choice = d.Label(o.candidate)
		}
		if o.image != "" {
			r.Manifest = d.Candidates[o.candidate].Digest.String()
		}
	}
	if o.err != nil && o.action != policy.Refused {
		r.Error = o.err.Error()
	}
	return r
}

// code is why the pull was done as it was, after all that was tried.
func (o outcome) code() policy.Reason {
	switch {
	case o.insteadOf != "":
		return policy.InsteadOfBest
	case o.action == policy.Failed && o.plan.step != stepStop:
		return policy.PullFailed
	}
	return o.plan.code
}

// entriesOf lists what became of each entry of the index.
func entriesOf(d *decision.Decision) []decisionlog.Entry {
	if d.Index == "" && len(d.Others) == 0 {
		return nil
	}
	var entries []decisionlog.Entry
	d.Entries(func(i int) {
		c := d.Candidates[i]
		verdict := c.Outcome.String()
		if c.Reason != "" {
			verdict += ": it " + c.Reason
		}
		entries = append(entries, decisionlog.Entry{Name: d.Label(i), Verdict: verdict, Rank: c.Rank})
	}, func(o decision.Other) {
		entries = append(entries, decisionlog.Entry{Name: o.Label(), Verdict: o.Reason})
	})
	return entries
}
