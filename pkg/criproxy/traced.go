package criproxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.opentelemetry.io/otel/trace"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/secret"
	"github.com/imagefit/imagefit/pkg/tracing"
)

// tracedDecider makes a span of each decision.
type tracedDecider struct{ Decider }

func (t tracedDecider) Decide(ctx context.Context, req decision.Request) (d *decision.Decision, err error) {
	ctx, span := tracing.Start(ctx, "decide")
	defer func() { tracing.End(span, err) }()
	d, err = t.Decider.Decide(ctx, req)
	if !span.IsRecording() {
		return d, err
	}
	span.SetAttributes(tracing.Reference.String(shown(req.Reference)))
	if err == nil {
		span.SetAttributes(tracing.Candidates.Int(len(d.Candidates)))
	}
	if err == nil && d.Choice != decision.None {
		span.SetAttributes(tracing.Choice.String(d.Label(d.Choice)))
	}
	return d, err
}

// tracedRuntime makes a span of each call.
type tracedRuntime struct{ Runtime }

func (t tracedRuntime) Call(ctx context.Context, method string, request *cri.Frame) *cri.Answer {
	ctx, span := tracing.StartCall(ctx, method)
	answer := t.Runtime.Call(ctx, method, request)
	tracing.EndCall(span, answer.Err)
	return answer
}

// tracedImages makes a span of what the runtime is given before a pull, and of the
// config that is read after it.
type tracedImages struct{ Images }

func (t tracedImages) Offer(ctx context.Context, repository string, contents []images.Content) (func(), error) {
	ctx, span := tracing.Start(ctx, "offer")
	release, err := t.Images.Offer(ctx, repository, contents)
	tracing.End(span, err)
	return release, err
}

func (t tracedImages) PlatformOf(ctx context.Context, config digest.Digest) (ocispec.Platform, error) {
	ctx, span := tracing.Start(ctx, "check platform")
	p, err := t.Images.PlatformOf(ctx, config)
	tracing.End(span, err)
	return p, err
}

// tracedNames makes a span of each choice that is named.
type tracedNames struct{ Namer }

func (t tracedNames) Give(ctx context.Context, g given) error {
	ctx, span := tracing.Start(ctx, "record")
	if span.IsRecording() {
		span.SetAttributes(tracing.Reference.String(shown(g.decision.Reference)), tracing.Manifest.String(g.decision.Candidates[g.candidate].Digest.String()))
	}
	err := t.Namer.Give(ctx, g)
	tracing.End(span, err)
	return err
}

// describe adds the record of a pull to its span.
func describe(span trace.Span, r decisionlog.Record) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(tracing.Reference.String(shown(r.Reference)),
		tracing.Action.String(string(r.Action)), tracing.Reason.String(secret.Strip(r.Reason)))
	if r.Choice != "" {
		span.SetAttributes(tracing.Choice.String(r.Choice))
	}
}

// shown is a reference as it may be shown.
func shown(ref string) string { return secret.Strip(decision.Line(ref)) }
