package criproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/throttle"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/tracing"
)

// PullImage is the method that a decision stands in front of.
const PullImage = runtimeapi.ImageService_PullImage_FullMethodName

// patience is how much longer than the decision itself the pull waits for it. A
// decision that runs out of time still uses what is cached.
const patience = 500 * time.Millisecond

// Decider takes the road from a reference to a choice.
type Decider interface {
	// Snapshot returns the rules and facts of this moment.
	Snapshot() decision.Snapshot
	// Decide chooses among the candidates of a reference.
	Decide(ctx context.Context, req decision.Request) (*decision.Decision, error)
	// Remember keeps what is known of a candidate under its image id.
	Remember(imageID string, d *decision.Decision, candidate int) error
}

// Images is the runtime's image store, as package images has it.
type Images interface {
	// Point makes a reference resolve to a choice.
	Point(ctx context.Context, c images.Choice) error
	// ConfigOf returns the image id of a manifest on the node.
	ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error)
}

// PullerOptions are what a Puller is made of.
type PullerOptions struct {
	Backend *cri.Backend
	Images  Images
	Decider Decider
	// Unchanged, where set, says why pulls must reach the runtime as they came,
	// and which policy says so; "" where they need not.
	Unchanged func(policy policy.Answers) (reason string, by policy.Case)
	// Record takes one record for each pull.
	Record func(decisionlog.Record)
	// Tracer, where set, makes the span of each pull.
	Tracer trace.Tracer
	Log    *slog.Logger
}

// Puller answers PullImage.
type Puller struct {
	PullerOptions
	unkept throttle.Throttle
}

// NewPuller returns a Puller.
func NewPuller(o PullerOptions) *Puller { return &Puller{PullerOptions: o} }

// pull is one PullImage call on its way.
type pull struct {
	*Puller
	req      *runtimeapi.PullImageRequest
	frame    *cri.Frame // the request as it came
	snapshot decision.Snapshot
	policy   policy.Effective
	limit    time.Duration // for the decision; none where it is zero
	again    bool          // the reference moved under the first decision
	retries  int           // of the choice, that was removed meanwhile
	rec      decisionlog.Record
}

// Handle answers one PullImage call.
func (p *Puller) Handle(stream grpc.ServerStream) (err error) {
	start := time.Now()
	ctx, span := tracing.StartServer(stream.Context(), p.Tracer, PullImage)
	defer func() { tracing.EndCall(span, err) }()
	frame := new(cri.Frame)
	if err := stream.RecvMsg(frame); err != nil {
		return err
	}
	defer frame.Free()
	call := &pull{Puller: p, req: new(runtimeapi.PullImageRequest), frame: frame}
	if err := frame.Decode(call.req); err != nil {
		return p.Backend.Call(ctx, PullImage, frame).Send(stream) // for the runtime to say what is wrong
	}
	call.begin()
	answer, err := call.answer(ctx)
	if err == nil {
		err = answer.Err
	}
	call.end(err, time.Since(start))
	call.describe(span)
	if answer == nil {
		return err
	}
	return answer.Send(stream)
}

// begin fills in what is known of a pull before anything is decided.
func (p *pull) begin() {
	p.snapshot = p.Decider.Snapshot()
	rules := p.snapshot.Rules
	sandbox, ref := p.req.GetSandboxConfig(), p.req.GetImage().GetImage()
	pod := policy.Pod{Namespace: sandbox.GetMetadata().GetNamespace(), Annotations: sandbox.GetAnnotations()}
	p.policy = policy.EffectiveFor(rules.Policy, decision.RepositoryOf(ref), pod)
	if rules.Timeout > 0 {
		p.limit = rules.Timeout + patience
	}
	p.rec = decisionlog.Record{
		Time: time.Now().UTC(), Action: policy.Failed, Reference: ref,
		Namespace: pod.Namespace, Pod: sandbox.GetMetadata().GetName(),
		Mode: p.policy.Mode, Exempt: p.policy.Exempt,
	}
}

// end records what came of a pull.
func (p *pull) end(err error, took time.Duration) {
	p.rec.Took = took
	if err != nil && p.rec.Action != policy.Refused {
		p.rec.Error = err.Error()
	}
	p.Record(p.rec)
}

// answer decides and pulls accordingly.
func (p *pull) answer(ctx context.Context) (*cri.Answer, error) {
	d, err := p.decide(ctx)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return p.forward(ctx), nil
	}
	action, reason := d.Action(p.policy.Answers)
	p.rec.Cases, p.rec.Candidates, p.rec.Reason = d.Cases, len(d.Candidates), reason
	if action == policy.Refused && p.policy.Enforced() {
		p.rec.Action = policy.Refused
		return nil, status.Error(codes.Unknown, "imagefit: "+reason)
	}
	unchanged := p.policy.Mode == policy.Audit
	if action == policy.Pulled && !unchanged {
		unchanged = p.heldBack(d)
	}
	if action == policy.Refused || action == policy.Pulled && unchanged && !d.AsRuntime() {
		p.rec.Would = action
	}
	switch {
	case d.NothingToChoose():
		return p.forward(ctx), nil
	case action != policy.Pulled || unchanged:
		return p.forwardAndRemember(ctx, d), nil
	case d.AsRuntime():
		return p.forwardAndCheck(ctx, d)
	default:
		return p.pullChoice(ctx, d)
	}
}

// heldBack reports whether the pull must reach the runtime as it came, and
// records why where that makes a difference.
func (p *pull) heldBack(d *decision.Decision) bool {
	if p.Unchanged == nil {
		return false
	}
	reason, by := p.Unchanged(p.policy.Answers)
	if reason == "" {
		return false
	}
	if !d.AsRuntime() {
		p.rec.Reason = reason
		p.rec.Cases = append(slices.Clip(p.rec.Cases), cases(by)...)
	}
	return true
}

// cases lists the case, if it is one.
func cases(c policy.Case) []policy.Case {
	if c == (policy.Case{}) {
		return nil
	}
	return []policy.Case{c}
}

// decide returns no decision where the pull is to go on as without us.
func (p *pull) decide(ctx context.Context) (*decision.Decision, error) {
	start := time.Now()
	d, err := p.ask(ctx)
	p.rec.Decided = time.Since(start)
	switch {
	case ctx.Err() != nil: // the client's own deadline, or it is gone
		p.rec.Reason = "the client gave up"
		return nil, status.FromContextError(ctx.Err()).Err()
	case err == nil:
		return d, nil
	}
	ref := p.req.GetImage().GetImage()
	p.rec.Reason = decision.Line(fmt.Sprintf("what %s needs cannot be found out: %v", ref, err))
	if runtimeSays(err) {
		return nil, nil //nolint:nilnil // no decision
	}
	p.rec.Cases = p.policy.Cases(policy.Arose{RegistryError: true})
	switch {
	case p.policy.RegistryError != policy.Refuse:
		return nil, nil //nolint:nilnil // no decision
	case p.policy.Enforced():
		p.rec.Action = policy.Refused
		return nil, status.Error(codes.Unknown, "imagefit: "+p.rec.Reason)
	default:
		p.rec.Would = policy.Refused
		return nil, nil //nolint:nilnil // no decision
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
func (p *pull) forward(ctx context.Context) *cri.Answer {
	p.rec.Action = policy.Forwarded
	return p.call(ctx, p.frame)
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
