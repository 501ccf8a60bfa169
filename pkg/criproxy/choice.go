package criproxy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// maxRetries is how often a pull of a choice begins anew.
const maxRetries = 4

// forwardAndCheck forwards a pull of which the runtime takes the choice
// unasked, and makes sure that it did.
func (p *pull) forwardAndCheck(ctx context.Context, d *decision.Decision) (*cri.Answer, error) {
	answer := p.forward(ctx)
	taken, err := p.rememberTaken(ctx, d, answer)
	switch {
	case answer.Err != nil:
		return answer, nil
	case taken == d.Choice:
		p.rec.Action = policy.Pulled
		return answer, nil
	case err != nil:
		p.warn("what the runtime took cannot be checked", err)
		return answer, nil
	case taken == decision.None && p.again:
		p.warn("what the runtime took is none of the candidates", nil)
		return answer, nil
	case taken == decision.None: // the tag moved between the decision and the pull
		p.again = true
		answer.Message.Free()
		return p.answer(ctx)
	}
	p.warn("the runtime took "+d.Label(taken)+", not "+d.Label(d.Choice)+" as expected", nil)
	answer.Message.Free()
	return p.pullChoice(ctx, d)
}

// pullChoice pulls the chosen manifest by its digest and makes the reference
// that was asked for point at it.
func (p *pull) pullChoice(ctx context.Context, d *decision.Decision) (*cri.Answer, error) {
	chosen := d.Descriptor(d.Choice)
	p.rec.Action, p.rec.Choice = policy.Failed, d.Label(d.Choice)
	req := proto.CloneOf(p.req)
	req.Image.Image = d.Repository + "@" + chosen.Digest.String()
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "imagefit: encode the pull of %s: %v", req.Image.Image, err)
	}
	answer := p.call(ctx, cri.NewFrame(body))
	switch {
	case removedMeanwhile(answer.Err) && p.mayRetry():
		return p.pullChoice(ctx, d)
	case status.Code(answer.Err) == codes.NotFound && p.defaultMayRun(d):
		// Not every registry has what its index names, such as a mirror of some
		// platforms only. Without us the pull would not have needed it.
		p.warn("the registry does not have the choice, the pull is forwarded unchanged", answer.Err)
		return p.forwardAndRemember(ctx, d), nil
	case answer.Err != nil:
		return answer, nil
	}
	id, err := imageRef(answer)
	if err == nil {
		err = p.point(ctx, d, id)
	}
	if err != nil {
		answer.Message.Free()
		if errors.Is(err, images.ErrRemoved) && p.mayRetry() {
			return p.pullChoice(ctx, d)
		}
		return p.withoutRecord(ctx, d, err)
	}
	p.remember(id, d, d.Choice)
	p.rec.Action = policy.Pulled
	return answer, nil
}

// removedMeanwhile tells an image that was removed from under a pull from one that
// the registry does not have: containerd says of the latter alone that it could
// not pull it.
func removedMeanwhile(err error) bool {
	return status.Code(err) == codes.NotFound && !strings.HasPrefix(status.Convert(err).Message(), "failed to pull")
}

// mayRetry counts the pulls that begin anew because somebody removed the image
// while they went on.
func (p *pull) mayRetry() bool {
	p.retries++
	return p.retries <= maxRetries
}

// withoutRecord goes on when the choice was pulled but the reference could not
// be made to resolve to it: as without us where that may run, else with an
// error. A reply now would let the kubelet run a reference it cannot look up.
func (p *pull) withoutRecord(ctx context.Context, d *decision.Decision, cause error) (*cri.Answer, error) {
	if ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	// What somebody keeps removing would be removed unchosen as well: the client
	// tries again.
	if p.defaultMayRun(d) && !errors.Is(cause, images.ErrRemoved) {
		p.warn("the runtime does not show the choice, the pull is forwarded unchanged", cause)
		return p.forwardAndRemember(ctx, d), nil
	}
	p.warn("the runtime does not show the choice", cause)
	return nil, status.Errorf(codes.Unknown, "imagefit: %s of %s is pulled, but the runtime does not show it under that name",
		d.Label(d.Choice), d.Reference)
}

// defaultMayRun reports whether what the runtime takes unasked is not known to
// be unfit.
func (p *pull) defaultMayRun(d *decision.Decision) bool {
	return d.Default != decision.None && d.Candidates[d.Default].Rank > 0
}

// forwardAndRemember forwards a pull and keeps what is known of what it brings.
func (p *pull) forwardAndRemember(ctx context.Context, d *decision.Decision) *cri.Answer {
	answer := p.forward(ctx)
	if _, err := p.rememberTaken(ctx, d, answer); err != nil {
		p.warn("what the runtime took cannot be told", err)
	}
	return answer
}

// rememberTaken finds out which candidate the runtime took, None for one that
// is not among them, and keeps what is known of it.
func (p *pull) rememberTaken(ctx context.Context, d *decision.Decision, answer *cri.Answer) (int, error) {
	if answer.Err != nil {
		return decision.None, nil
	}
	id, err := imageRef(answer)
	if err != nil {
		return decision.None, fmt.Errorf("read the runtime's answer: %w", err)
	}
	for _, i := range d.ByPreference() {
		config, err := p.Images.ConfigOf(ctx, d.Candidates[i].Digest)
		switch {
		case status.Code(err) == codes.NotFound: // not on the node, so not what was taken
		case err != nil:
			return decision.None, err
		case config.String() == id:
			p.remember(id, d, i)
			return i, nil
		}
	}
	return decision.None, nil
}

// remember keeps what is known of candidate i, which is now on the node.
func (p *pull) remember(id string, d *decision.Decision, i int) {
	p.rec.Choice, p.rec.Manifest, p.rec.Image = d.Label(i), d.Candidates[i].Digest.String(), id
	if err := p.Decider.Remember(id, d, i); err != nil && p.unkept.Allow() {
		p.warn("the decision cannot be kept for admission", err)
	}
}

// warn logs what happened on the way, beside the one record of the pull.
func (p *pull) warn(message string, err error) {
	attrs := []any{"reference", p.rec.Reference, "namespace", p.rec.Namespace, "pod", p.rec.Pod}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	p.Log.Warn(message, attrs...)
}

// imageRef reads the image id out of a PullImage answer.
func imageRef(answer *cri.Answer) (string, error) {
	var resp runtimeapi.PullImageResponse
	if err := answer.Message.Decode(&resp); err != nil {
		return "", err
	}
	if resp.GetImageRef() == "" {
		return "", errors.New("it names no image")
	}
	return resp.GetImageRef(), nil
}
