package criproxy

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/secret"
	"github.com/imagefit/imagefit/pkg/tracing"
)

// ask asks for a decision, with the limit on its time.
func (p *pull) ask(ctx context.Context) (d *decision.Decision, err error) {
	ctx, span := tracing.Start(ctx, "decide")
	defer func() { tracing.End(span, err) }()
	if p.limit > 0 {
		limited, cancel := context.WithTimeout(ctx, p.limit)
		defer cancel()
		ctx = limited
	}
	ref := p.req.GetImage().GetImage()
	d, err = p.Decider.Decide(ctx, decision.Request{Reference: ref, Auth: authOf(p.req.GetAuth()), Snapshot: p.snapshot})
	if !span.IsRecording() {
		return d, err
	}
	span.SetAttributes(tracing.Reference.String(reference(ref)))
	if err == nil {
		span.SetAttributes(tracing.Candidates.Int(len(d.Candidates)))
	}
	if err == nil && d.Choice != decision.None {
		span.SetAttributes(tracing.Choice.String(d.Label(d.Choice)))
	}
	return d, err
}

// call pulls at the runtime.
func (p *pull) call(ctx context.Context, request *cri.Frame) *cri.Answer {
	ctx, span := tracing.StartCall(ctx, PullImage)
	answer := p.Backend.Call(ctx, PullImage, request)
	tracing.EndCall(span, answer.Err)
	return answer
}

// point makes the reference that was asked for resolve to the choice.
func (p *pull) point(ctx context.Context, d *decision.Decision, id string) error {
	chosen := d.Descriptor(d.Choice)
	ctx, span := tracing.Start(ctx, "record")
	if span.IsRecording() {
		span.SetAttributes(tracing.Reference.String(reference(d.Reference)), tracing.Manifest.String(chosen.Digest.String()))
	}
	err := p.Images.Point(ctx, images.Choice{
		Reference: d.Reference, Repository: d.Repository, Index: d.Index, Manifest: chosen, ImageID: id,
	})
	tracing.End(span, err)
	return err
}

// describe says in the span of a pull what came of it.
func (p *pull) describe(span trace.Span) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(tracing.Reference.String(reference(p.rec.Reference)),
		tracing.Action.String(string(p.rec.Action)), tracing.Reason.String(secret.Strip(p.rec.Reason)))
	if p.rec.Choice != "" {
		span.SetAttributes(tracing.Choice.String(p.rec.Choice))
	}
}

// reference is a reference as it may be shown.
func reference(ref string) string { return secret.Strip(decision.Line(ref)) }
