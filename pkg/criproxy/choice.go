package criproxy

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// maxRetries is how often a choice that was removed meanwhile is pulled again.
const maxRetries = 4

// forwardChoice forwards a pull of which the runtime takes the choice by itself, and
// makes sure that it did. It reports whether the tag moved meanwhile.
func (p *pull) forwardChoice(ctx context.Context, pl plan) (o outcome, moved bool) {
	o = p.forward(ctx, pl)
	switch {
	case o.err != nil, o.unsure:
		return o, false
	case o.candidate == pl.decision.Choice:
		o.action = policy.Pulled
		return o, false
	case o.candidate == decision.None:
		return o, true
	}
	p.log.Warn("the runtime pulled another variant than expected, pulling the chosen one",
		"pulled", pl.decision.Label(o.candidate), "choice", pl.decision.Label(pl.decision.Choice))
	o.answer.Message.Free()
	return p.pullChoice(ctx, pl), false
}

// pullChoice pulls the chosen manifest by its digest and makes the reference resolve to
// it, again where that is removed meanwhile. Where it cannot, the request is forwarded
// if what the runtime then takes may run.
func (p *pull) pullChoice(ctx context.Context, pl plan) outcome {
	d := pl.decision
	failed := outcome{plan: pl, action: policy.Failed, candidate: d.Choice}
	request, err := p.requestOf(d)
	if err != nil {
		failed.err = err
		return failed
	}
	for retry := 0; ; retry++ {
		answer := p.Runtime.Call(ctx, PullImage, request)
		if answer.Err != nil {
			missing := status.Code(answer.Err) == codes.NotFound
			// containerd says only of what the registry does not have that it failed to
			// pull it; the rest was removed during the pull.
			unavailable := strings.HasPrefix(status.Convert(answer.Err).Message(), "failed to pull")
			if missing && !unavailable && retry < maxRetries {
				continue
			}
			if missing && defaultMayRun(d) {
				// Not every registry has what its index names: some mirror only some
				// platforms. The runtime by itself would not have needed it.
				p.log.Warn("the registry does not have the chosen variant, forwarding the pull unchanged", "error", answer.Err)
				return p.forward(ctx, pl)
			}
			failed.answer, failed.err = answer, answer.Err
			return failed
		}
		id, err := p.point(ctx, d, answer)
		if err == nil {
			p.remember(id, d, d.Choice)
			return outcome{plan: pl, action: policy.Pulled, candidate: d.Choice, image: id, answer: answer}
		}
		answer.Message.Free()
		if !errors.Is(err, images.ErrRemoved) || retry == maxRetries {
			return p.withoutRecord(ctx, failed, err)
		}
	}
}

// requestOf is the request with the choice's digest in place of the reference.
func (p *pull) requestOf(d *decision.Decision) (*cri.Frame, error) {
	req := proto.CloneOf(p.req)
	req.Image.Image = d.Repository + "@" + d.Descriptor(d.Choice).Digest.String()
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "imagefit: encode the pull of %s: %v", req.Image.Image, err)
	}
	return cri.NewFrame(body), nil
}

// point makes the reference resolve to the choice that the runtime pulled, and returns
// its image id.
func (p *pull) point(ctx context.Context, d *decision.Decision, answer *cri.Answer) (string, error) {
	id, err := imageRef(answer)
	if err != nil {
		return "", err
	}
	return id, p.Images.Point(ctx, images.Choice{
		Reference: d.Reference, Repository: d.Repository, Index: d.Index, Manifest: d.Descriptor(d.Choice), ImageID: id,
	})
}

// withoutRecord is the outcome when the choice was pulled but the reference does not
// resolve to it: the request is forwarded where what that brings may run, else the pull
// fails. After a reply the kubelet would run a reference that it cannot look up.
func (p *pull) withoutRecord(ctx context.Context, failed outcome, cause error) outcome {
	d := failed.plan.decision
	if ctx.Err() != nil {
		failed.err = status.FromContextError(ctx.Err()).Err()
		return failed
	}
	// A record that keeps being removed would be removed after a forwarded pull as well:
	// the client tries again.
	if defaultMayRun(d) && !errors.Is(cause, images.ErrRemoved) {
		p.log.Warn("the runtime does not show the chosen variant, forwarding the pull unchanged", "error", cause)
		return p.forward(ctx, failed.plan)
	}
	p.log.Warn("the runtime does not show the chosen variant", "error", cause)
	failed.err = status.Errorf(codes.Unknown, "imagefit: %s of %s is pulled, but the runtime does not show it under that name",
		d.Label(d.Choice), d.Reference)
	return failed
}

// defaultMayRun reports whether what the runtime takes by itself is not known to be unfit.
func defaultMayRun(d *decision.Decision) bool {
	return d.Default != decision.None && d.Candidates[d.Default].Rank > 0
}
