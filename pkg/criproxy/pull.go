package criproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// PullImage is the method that a decision stands in front of.
const PullImage = runtimeapi.ImageService_PullImage_FullMethodName

// Decider takes the road from a reference to a choice.
type Decider interface {
	// Decide chooses among the candidates of a reference.
	Decide(ctx context.Context, req decision.Request) (*decision.Decision, error)
	// Remember keeps what is known of a candidate under its image id.
	Remember(imageID string, d *decision.Decision, candidate int) error
}

// PullPolicy is what the operator wants of pulls.
type PullPolicy struct {
	Audit               bool          // decide and log, but forward every pull unchanged
	ForwardUnfit        bool          // forward a pull of which no candidate fits
	RefuseRegistryError bool          // refuse a pull that could not be decided
	Timeout             time.Duration // for the decision
	Exempt              decision.Exemptions
}

// Puller answers PullImage.
type Puller struct {
	backend *Backend
	records *records
	decider Decider
	policy  PullPolicy
	log     *slog.Logger
}

// NewPuller returns a Puller for the images of the runtime in a containerd
// namespace.
func NewPuller(b *Backend, namespace string, d Decider, policy PullPolicy, log *slog.Logger) *Puller {
	return &Puller{backend: b, records: newRecords(b, namespace), decider: d, policy: policy, log: log}
}

// pull is one PullImage call on its way.
type pull struct {
	*Puller
	req    *runtimeapi.PullImageRequest
	frame  *Frame // the request as it came
	exempt bool
	again  bool // the reference moved under the first decision
	log    *slog.Logger
}

// Handle answers one PullImage call.
func (p *Puller) Handle(stream grpc.ServerStream) error {
	frame := new(Frame)
	if err := stream.RecvMsg(frame); err != nil {
		return err
	}
	defer frame.Free()
	call := &pull{Puller: p, req: new(runtimeapi.PullImageRequest), frame: frame, log: p.log}
	if err := frame.Decode(call.req); err != nil {
		return p.backend.Call(stream.Context(), PullImage, frame).Send(stream) // for the runtime to say what is wrong
	}
	sandbox := call.req.GetSandboxConfig()
	call.exempt = p.policy.Exempt.Match(sandbox.GetMetadata().GetNamespace(), sandbox.GetAnnotations())
	call.log = p.log.With("reference", call.req.GetImage().GetImage(),
		"namespace", sandbox.GetMetadata().GetNamespace(), "pod", sandbox.GetMetadata().GetName())
	answer, err := call.answer(stream.Context())
	if err != nil {
		return err
	}
	return answer.Send(stream)
}

// answer decides and pulls accordingly.
func (p *pull) answer(ctx context.Context) (*Answer, error) {
	d, err := p.decide(ctx)
	switch {
	case err != nil:
		return nil, err
	case d == nil || d.NothingToChoose():
		return p.forward(ctx), nil
	case d.Refused() && p.refuses():
		p.log.Warn("pull refused", "reason", d.Reason)
		return nil, status.Error(codes.Unknown, "imagefit: "+d.Reason)
	case d.Refused() || p.policy.Audit:
		p.log.Warn("pull forwarded unchanged", "reason", d.Reason, "audit", p.policy.Audit, "exempt", p.exempt)
		return p.forwardAndRemember(ctx, d), nil
	case d.AsRuntime():
		return p.forwardAndCheck(ctx, d)
	default:
		return p.pullChoice(ctx, d)
	}
}

func (p *pull) refuses() bool { return p.enforced() && !p.policy.ForwardUnfit }

// enforced tells whether any policy may refuse this pull.
func (p *pull) enforced() bool { return !p.policy.Audit && !p.exempt }

// decide returns no decision where the pull is to go on as without us.
func (p *pull) decide(ctx context.Context) (*decision.Decision, error) {
	limited, cancel := context.WithTimeout(ctx, p.policy.Timeout)
	defer cancel()
	d, err := p.decider.Decide(limited, decision.Request{
		Reference: p.req.GetImage().GetImage(), Auth: authOf(p.req.GetAuth()),
	})
	switch {
	case ctx.Err() != nil: // the client's own deadline, or it is gone
		return nil, status.FromContextError(ctx.Err()).Err()
	case err == nil:
		return d, nil
	case p.policy.RefuseRegistryError && p.enforced() && !runtimeSays(err):
		p.log.Warn("pull refused", "reason", "not decided", "error", err)
		return nil, status.Error(codes.Unknown, "imagefit: "+decision.Line(
			fmt.Sprintf("what %s needs cannot be found out: %v", p.req.GetImage().GetImage(), err)))
	default:
		p.log.Warn("pull forwarded unchanged", "reason", "not decided", "error", err)
		return nil, nil
	}
}

// runtimeSays tells errors that the runtime is about to meet itself and that
// it puts into its own words. It never asks for referrers, so what a registry
// answers to that is not among them.
func runtimeSays(err error) bool {
	e, ok := errors.AsType[*registry.Error](err)
	return ok && e.Op == "resolve" && (errors.Is(err, registry.ErrUnauthorized) || errors.Is(err, registry.ErrNotFound))
}

// forward passes the request on byte for byte.
func (p *pull) forward(ctx context.Context) *Answer {
	return p.backend.Call(ctx, PullImage, p.frame)
}

// forwardAndCheck forwards a pull of which the runtime takes the choice
// unasked, and makes sure that it did.
func (p *pull) forwardAndCheck(ctx context.Context, d *decision.Decision) (*Answer, error) {
	answer := p.forward(ctx)
	taken, err := p.rememberTaken(ctx, d, answer)
	switch {
	case answer.Err != nil || taken == d.Choice:
		return answer, nil
	case err != nil:
		p.log.Warn("what the runtime took cannot be checked", "reason", d.Reason, "error", err)
		return answer, nil
	case taken == decision.None && p.again:
		p.log.Warn("what the runtime took is none of the candidates", "reason", d.Reason)
		return answer, nil
	case taken == decision.None: // the tag moved between the decision and the pull
		p.again = true
		answer.Message.Free()
		return p.answer(ctx)
	}
	p.log.Warn("the runtime took another variant than expected, pulling the choice",
		"taken", d.Label(taken), "choice", d.Label(d.Choice))
	answer.Message.Free()
	return p.pullChoice(ctx, d)
}

// pullChoice pulls the chosen manifest by its digest and makes the reference
// that was asked for point at it.
func (p *pull) pullChoice(ctx context.Context, d *decision.Decision) (*Answer, error) {
	chosen := d.Descriptor(d.Choice)
	req := proto.CloneOf(p.req)
	req.Image.Image = d.Repository + "@" + chosen.Digest.String()
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "imagefit: encode the pull of %s: %v", req.Image.Image, err)
	}
	answer := p.backend.Call(ctx, PullImage, NewFrame(body))
	switch {
	case status.Code(answer.Err) == codes.NotFound && p.defaultMayRun(d):
		// Not every registry has what its index names, such as a mirror of some
		// platforms only. Without us the pull would not have needed it.
		p.log.Warn("pull forwarded unchanged", "reason", "the registry does not have the choice",
			"choice", d.Label(d.Choice), "error", answer.Err)
		return p.forwardAndRemember(ctx, d), nil
	case answer.Err != nil:
		p.log.Warn("pull failed", "choice", d.Label(d.Choice), "error", answer.Err)
		return answer, nil
	}
	id, err := imageRef(answer)
	if err == nil {
		err = p.records.point(ctx, d.Reference, d.Index, chosen, id)
	}
	if err != nil {
		answer.Message.Free()
		return p.withoutRecord(ctx, d, err)
	}
	p.remember(id, d, d.Choice)
	p.log.Info("pulled", "choice", d.Label(d.Choice), "manifest", chosen.Digest, "image", id, "reason", d.Reason)
	return answer, nil
}

// withoutRecord goes on when the choice was pulled but the reference could not
// be made to resolve to it: as without us where that may run, else with an
// error. A reply now would let the kubelet run a reference it cannot look up.
func (p *pull) withoutRecord(ctx context.Context, d *decision.Decision, cause error) (*Answer, error) {
	if ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if p.defaultMayRun(d) {
		p.log.Error("pull forwarded unchanged", "reason", "the runtime does not show the choice", "error", cause)
		return p.forwardAndRemember(ctx, d), nil
	}
	p.log.Error("pull failed", "reason", "the runtime does not show the choice", "error", cause)
	return nil, status.Errorf(codes.Unknown, "imagefit: %s of %s is pulled, but the runtime does not show it under that name",
		d.Label(d.Choice), d.Reference)
}

// defaultMayRun reports whether what the runtime takes unasked is not known to
// be unfit.
func (p *pull) defaultMayRun(d *decision.Decision) bool {
	return d.Default != decision.None && d.Candidates[d.Default].Rank > 0
}

// forwardAndRemember forwards a pull and keeps what is known of what it brings.
func (p *pull) forwardAndRemember(ctx context.Context, d *decision.Decision) *Answer {
	answer := p.forward(ctx)
	if _, err := p.rememberTaken(ctx, d, answer); err != nil {
		p.log.Warn("what the runtime took cannot be told", "error", err)
	}
	return answer
}

// rememberTaken finds out which candidate the runtime took, None for one that
// is not among them, and keeps what is known of it.
func (p *pull) rememberTaken(ctx context.Context, d *decision.Decision, answer *Answer) (int, error) {
	if answer.Err != nil {
		return decision.None, nil
	}
	id, err := imageRef(answer)
	if err != nil {
		return decision.None, fmt.Errorf("read the runtime's answer: %w", err)
	}
	for _, i := range d.ByPreference() {
		config, err := p.records.configOf(ctx, d.Candidates[i].Digest)
		switch {
		case status.Code(err) == codes.NotFound: // not on the node, so not what was taken
		case err != nil:
			return decision.None, fmt.Errorf("read the runtime's copy of %s: %w", d.Candidates[i].Digest, err)
		case config.String() == id:
			p.remember(id, d, i)
			p.log.Info("pulled", "choice", d.Label(i), "manifest", d.Candidates[i].Digest, "image", id, "reason", d.Reason)
			return i, nil
		}
	}
	return decision.None, nil
}

func (p *pull) remember(id string, d *decision.Decision, i int) {
	if err := p.decider.Remember(id, d, i); err != nil {
		p.log.Warn("the decision cannot be kept for admission", "image", id, "error", err)
	}
}

// imageRef reads the image id out of a PullImage answer.
func imageRef(answer *Answer) (string, error) {
	var resp runtimeapi.PullImageResponse
	if err := answer.Message.Decode(&resp); err != nil {
		return "", err
	}
	if resp.GetImageRef() == "" {
		return "", errors.New("it names no image")
	}
	return resp.GetImageRef(), nil
}

func authOf(a *runtimeapi.AuthConfig) *registry.Auth {
	if a == nil {
		return nil
	}
	return &registry.Auth{
		Username: a.GetUsername(), Password: a.GetPassword(), Auth: a.GetAuth(),
		ServerAddress: a.GetServerAddress(), IdentityToken: a.GetIdentityToken(), RegistryToken: a.GetRegistryToken(),
	}
}
