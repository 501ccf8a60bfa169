package criproxy

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// step is how a pull begins once it is decided.
type step int

const (
	stepStop    step = iota // it fails, or is refused
	stepForward             // the runtime gets the request as it came
	stepPull                // the candidate that fits best is pulled, or else the next
)

// plan is what to do about a pull, and why.
type plan struct {
	step     step
	action   policy.Action      // of stepStop
	err      error              // of stepStop
	would    policy.Action      // that audit, an exemption or the runtime prevents
	decision *decision.Decision // nil where none could be made
	cases    []policy.Case
	code     policy.Reason
	reason   string
	took     time.Duration // to decide
}

// plan decides, and applies the policy to what was decided.
func (p *pull) plan(ctx context.Context) plan {
	start := time.Now()
	d, err := p.decide(ctx)
	took := time.Since(start)
	var pl plan
	switch {
	case ctx.Err() != nil: // the client's own deadline, or it is gone
		pl = plan{step: stepStop, action: policy.Failed, err: status.FromContextError(ctx.Err()).Err(), code: policy.ClientGone, reason: "the client gave up"}
	case err != nil:
		pl = p.planWithout(err)
	default:
		pl = p.planBy(d)
	}
	pl.took = took
	return pl
}

// planWithout is the plan where no decision could be made.
func (p *pull) planWithout(cause error) plan {
	u := decision.Undecide(p.reference(), cause, p.policy.Answers)
	pl := plan{step: stepForward, cases: u.Cases, code: u.Code, reason: u.Reason}
	if u.Action == policy.Refused {
		return p.refused(pl)
	}
	return pl
}

// planBy is the plan that follows from a decision.
func (p *pull) planBy(d *decision.Decision) plan {
	action, code, reason := d.Action(p.policy.Answers)
	pl := plan{step: stepForward, decision: d, cases: d.Cases, code: code, reason: reason}
	switch action {
	case policy.Refused:
		return p.refused(pl)
	case policy.Forwarded:
		return pl
	}
	unchanged, code := p.policy.Mode == policy.Audit, policy.AuditOnly
	if !unchanged && p.Unchanged != nil {
		answers := p.policy.Answers
		if answers.ImageVerifier == policy.Signed && d.Signer != nil {
			answers.ImageVerifier = policy.Select // a signed index vouches for its variants
		}
		why, cases := p.Unchanged(p.reference(), p.pod.Namespace, answers)
		if unchanged = why != ""; unchanged && !d.AsRuntime() {
			pl.reason, pl.cases = why, slices.Concat(pl.cases, cases)
			if code = policy.RuntimeUnsupported; len(cases) > 0 {
				code = policy.VerifiedImages
			}
		}
	}
	switch {
	case unchanged && d.AsRuntime(): // nothing else would be done
	case unchanged:
		pl.would, pl.code = policy.Pulled, code
	default:
		pl.step = stepPull
	}
	return pl
}

// refused turns a plan into a refusal, or into one of what would be refused.
func (p *pull) refused(pl plan) plan {
	if !p.policy.Enforced() {
		pl.would = policy.Refused
		return pl
	}
	pl.step, pl.action, pl.err = stepStop, policy.Refused, status.Error(codes.Unknown, "imagefit: "+pl.reason)
	return pl
}

// decisionGrace is how much longer than the decision's own time limit a pull waits for
// it. A decision that runs out of time still uses what is cached.
const decisionGrace = 500 * time.Millisecond

// decide asks for a decision about the reference, for a limited time.
func (p *pull) decide(ctx context.Context) (*decision.Decision, error) {
	if timeout := p.snapshot.Rules.Timeout; timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, timeout+decisionGrace)
		defer cancel()
		ctx = limited
	}
	req := decision.Request{Reference: p.reference(), Snapshot: p.snapshot}
	if a := p.req.GetAuth(); a != nil {
		req.Auth = &registry.Auth{
			Username: a.GetUsername(), Password: a.GetPassword(), Auth: a.GetAuth(),
			ServerAddress: a.GetServerAddress(), IdentityToken: a.GetIdentityToken(), RegistryToken: a.GetRegistryToken(),
		}
	}
	return p.Decider.Decide(ctx, req)
}
