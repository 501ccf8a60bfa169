package criproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/throttle"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/tracing"
)

// PullImage is the method that a [Puller] answers.
const PullImage = runtimeapi.ImageService_PullImage_FullMethodName

// Decider resolves references and chooses among their candidates.
type Decider interface {
	// Snapshot returns the policy and facts of this moment.
	Snapshot() decision.Snapshot
	// Decide chooses among the candidates of a reference.
	Decide(ctx context.Context, req decision.Request) (*decision.Decision, error)
	// Remember stores what is known of a candidate under its image id.
	Remember(imageID string, d *decision.Decision, candidate int) error
}

// Images is the runtime's image store, as package images has it.
type Images interface {
	// Offer puts content into the store for a pull that begins now.
	Offer(ctx context.Context, repository string, contents []images.Content) (release func(), err error)
	// Image returns the image that the CRI shows under a name or an id, nil for none.
	Image(ctx context.Context, name string) (*runtimeapi.Image, error)
	// ConfigOf returns the image id of a manifest on the node.
	ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error)
	// PlatformOf returns the platform in the config of an image on the node.
	PlatformOf(ctx context.Context, config digest.Digest) (ocispec.Platform, error)
}

// Runtime takes calls, as [cri.Backend] does.
type Runtime interface {
	// Call passes a unary request on and returns the answer.
	Call(ctx context.Context, method string, request *cri.Frame) *cri.Answer
	// Relay passes a request on and each answer back, which change may change.
	Relay(stream grpc.ServerStream, method string, request *cri.Frame, change func(*cri.Frame) error) error
}

// Namer gives images the names that they were asked for by, as [Names] does.
type Namer interface {
	// Give makes the reference of a decision a name of the image that was chosen.
	Give(ctx context.Context, g given) error
	// Shared reports whether others may read the runtime's content and records.
	Shared() bool
	// Forwarded is told of each pull that the runtime answered as it came.
	Forwarded(ctx context.Context, reference string, d *decision.Decision, imageID string)
}

// PullerOptions are what a Puller is made of.
type PullerOptions struct {
	Runtime Runtime
	Images  Images
	Names   Namer
	Decider Decider
	// FullName, where set, returns what the runtime resolves a short name to, or the name
	// itself.
	FullName func(reference string) string
	// Unchanged, where set, returns why the pull of a reference for a namespace must reach
	// the runtime as it came, and in which cases of the policy; "" where it need not.
	Unchanged func(reference, namespace string, policy policy.Answers) (reason string, cases []policy.Case)
	// Record takes one record for each pull.
	Record func(decisionlog.Record)
	// Tracer, where set, makes the span of each pull.
	Tracer trace.Tracer
	Log    *slog.Logger
}

// Puller answers PullImage.
type Puller struct {
	PullerOptions
	notStored  throttle.Throttle
	notTold    throttle.Throttle
	unpullable *unpullable
}

// NewPuller returns a Puller.
func NewPuller(o PullerOptions) *Puller {
	o.Runtime, o.Images, o.Decider = tracedRuntime{o.Runtime}, tracedImages{o.Images}, tracedDecider{o.Decider}
	o.Names = tracedNames{o.Names}
	if o.FullName == nil {
		o.FullName = func(reference string) string { return reference }
	}
	return &Puller{PullerOptions: o, unpullable: newUnpullable()}
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
	req := new(runtimeapi.PullImageRequest)
	recorded := false
	defer func() {
		if !recorded { // a panic ends the call
			p.Record(withoutPull(req, start, policy.Failed, policy.InternalError, "internal error, see the log of cri-proxy", nil))
		}
	}()
	if err := frame.Decode(req); err != nil {
		answer := p.Runtime.Call(ctx, PullImage, frame) // for the runtime to say what is wrong
		recorded = true
		p.Record(withoutPull(req, start, policy.Forwarded, policy.InvalidRequest, "the request cannot be decoded", answer.Err))
		return answer.Send(stream)
	}
	pull := p.newPull(req, frame)
	o := pull.run(ctx)
	record := pull.record(o, start)
	recorded = true
	p.Record(record)
	describe(span, record)
	if o.answer == nil {
		return o.err
	}
	return o.answer.Send(stream)
}

// maxDecisions bounds how often a tag that moves during a pull is decided about.
const maxDecisions = 2

// pull is one PullImage call. Its fields do not change while it runs.
type pull struct {
	*Puller
	req      *runtimeapi.PullImageRequest
	ref      string     // that is pulled, in full
	frame    *cri.Frame // the request as it came
	snapshot decision.Snapshot
	pod      policy.Pod
	policy   policy.Effective
	log      *slog.Logger // for what happened on the way, beside the one record
}

func (p *Puller) newPull(req *runtimeapi.PullImageRequest, frame *cri.Frame) *pull {
	snapshot, sandbox, ref := p.Decider.Snapshot(), req.GetSandboxConfig(), p.FullName(req.GetImage().GetImage())
	pod := policy.Pod{Namespace: sandbox.GetMetadata().GetNamespace(), Annotations: sandbox.GetAnnotations()}
	return &pull{
		Puller: p, req: req, ref: ref, frame: frame, snapshot: snapshot, pod: pod,
		policy: policy.EffectiveFor(snapshot.Rules.Policy, decision.RepositoryOf(ref), pod),
		log:    p.Log.With("reference", ref, "namespace", pod.Namespace, "pod", sandbox.GetMetadata().GetName()),
	}
}

func (p *pull) reference() string { return p.ref }

// outcome is what came of a pull. Its record is made from it.
type outcome struct {
	plan      plan
	action    policy.Action
	candidate int         // of the plan's decision that was pulled, or failed to be; else None
	unsure    bool        // which candidate was pulled
	insteadOf string      // the better candidate that could not be pulled
	image     string      // the id of the candidate that is now on the node
	answer    *cri.Answer // the runtime's, where it is to be the client's
	err       error       // of the pull, that of the answer included
	next      next        // what may be tried after the error
}

// run decides what to do about the pull and does it, again where the tag moved meanwhile.
func (p *pull) run(ctx context.Context) outcome {
	for decisions := 1; ; decisions++ {
		var o outcome
		moved := false // between the decision and the pull
		pl := p.plan(ctx)
		release := p.offer(ctx, pl)
		switch pl.step {
		case stepStop:
			o = outcome{plan: pl, action: pl.action, candidate: decision.None, err: pl.err}
		case stepForward:
			o = p.forwardUnchanged(ctx, pl)
		default:
			o, moved = p.pullBest(ctx, pl)
		}
		release()
		if !moved {
			return o
		}
		if decisions == maxDecisions {
			p.log.Warn("the runtime pulled an image that is not a candidate")
			return o
		}
		o.answer.Message.Free()
	}
}

// offer gives the runtime what was read to decide, so that together they request each
// manifest once, as the runtime by itself does.
func (p *pull) offer(ctx context.Context, pl plan) (release func()) {
	d := pl.decision
	if d == nil || pl.step == stepStop {
		return func() {}
	}
	var contents []images.Content
	// A variant is pulled by its digest, without the index, which is of use to others.
	byDigest := pl.step == stepPull && !d.AsRuntime() && !p.Names.Shared()
	for _, c := range d.Read {
		if !byDigest || c.Descriptor.Digest == d.Candidates[d.Choice].Digest {
			contents = append(contents, images.Content(c))
		}
	}
	if len(contents) == 0 {
		return func() {}
	}
	release, err := p.Images.Offer(ctx, d.Repository, contents)
	if err != nil { // it costs the runtime a request
		p.log.Debug("cannot give the runtime what was read", "error", err)
	}
	return release
}

// maxForwards bounds how often a pull is forwarded whose answer is another pull's variant.
const maxForwards = 3

// forwardUnchanged forwards a pull that is to get what the runtime takes by itself. The
// runtime looks the reference up once more after it has pulled: where another pull named
// its variant in between, the answer is that, and the request is forwarded again.
func (p *pull) forwardUnchanged(ctx context.Context, pl plan) outcome {
	for forwards := 1; ; forwards++ {
		o := p.forward(ctx, pl)
		d := pl.decision
		if o.candidate == decision.None || d.Default == decision.None || o.candidate == d.Default || forwards == maxForwards {
			return o
		}
		p.log.Debug("the answer is the variant of another pull, forwarding the pull again", "pulled", d.Label(o.candidate))
		o.answer.Message.Free()
	}
}

// forward passes the request on byte for byte, and remembers which candidate the runtime
// pulled.
func (p *pull) forward(ctx context.Context, pl plan) outcome {
	answer := p.Runtime.Call(ctx, PullImage, p.frame)
	o := outcome{plan: pl, action: policy.Forwarded, candidate: decision.None, answer: answer, err: answer.Err}
	if o.err != nil {
		o.next = after(ctx, o.err)
	}
	if o.err != nil {
		return o
	}
	id, err := imageRef(answer)
	if pl.decision == nil || pl.decision.NothingToChoose() {
		p.Names.Forwarded(ctx, p.reference(), pl.decision, id)
		return o
	}
	if err == nil {
		id, o.candidate, err = p.candidateOf(ctx, pl.decision, id)
	}
	p.Names.Forwarded(ctx, p.reference(), pl.decision, id)
	if o.unsure = err != nil; o.unsure && p.notTold.Allow() {
		p.log.Warn("cannot tell which variant the runtime pulled", "error", err)
	}
	if o.candidate != decision.None {
		o.image = id
		p.remember(id, pl.decision, o.candidate)
	}
	return o
}

// remember stores what is known of a candidate that is now on the node.
func (p *pull) remember(id string, d *decision.Decision, candidate int) {
	if err := p.Decider.Remember(id, d, candidate); err != nil && p.notStored.Allow() {
		p.log.Warn("cannot store the decision for admission", "error", err)
	}
}

// imageRef reads the image id out of a PullImage answer.
func imageRef(answer *cri.Answer) (string, error) {
	var resp runtimeapi.PullImageResponse
	if err := answer.Message.Decode(&resp); err != nil {
		return "", fmt.Errorf("read the runtime's answer: %w", err)
	}
	if resp.GetImageRef() == "" {
		return "", errors.New("read the runtime's answer: no image reference")
	}
	return resp.GetImageRef(), nil
}
