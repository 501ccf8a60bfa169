package criproxy

import (
	"context"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
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
	// Point makes a reference resolve to a choice.
	Point(ctx context.Context, c images.Choice) error
	// ConfigOf returns the image id of a manifest on the node.
	ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error)
}

// Runtime takes unary calls, as [cri.Backend] does.
type Runtime interface {
	// Call passes a request on and returns the answer.
	Call(ctx context.Context, method string, request *cri.Frame) *cri.Answer
}

// PullerOptions are what a Puller is made of.
type PullerOptions struct {
	Runtime Runtime
	Images  Images
	Decider Decider
	// Unchanged, where set, returns why pulls must reach the runtime as they came, and
	// in which cases of the policy; "" where they need not.
	Unchanged func(policy policy.Answers) (reason string, cases []policy.Case)
	// Record takes one record for each pull.
	Record func(decisionlog.Record)
	// Tracer, where set, makes the span of each pull.
	Tracer trace.Tracer
	Log    *slog.Logger
}

// Puller answers PullImage.
type Puller struct {
	PullerOptions
	notStored throttle.Throttle
}

// NewPuller returns a Puller.
func NewPuller(o PullerOptions) *Puller {
	o.Runtime, o.Images, o.Decider = tracedRuntime{o.Runtime}, tracedImages{o.Images}, tracedDecider{o.Decider}
	return &Puller{PullerOptions: o}
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
	if err := frame.Decode(req); err != nil {
		return p.Runtime.Call(ctx, PullImage, frame).Send(stream) // for the runtime to say what is wrong
	}
	pull := p.newPull(req, frame)
	o := pull.run(ctx)
	record := pull.record(o, start)
	p.Record(record)
	describe(span, record)
	if o.answer == nil {
		return o.err
	}
	return o.answer.Send(stream)
}
