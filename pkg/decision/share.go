package decision

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/otel/trace"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/tracing"
)

// Decide resolves the reference, looks at every candidate and chooses. An error
// means that nothing was decided: the reference or the registry could not be
// read.
//
// Callers that ask for the same reference with the same credentials and snapshot
// at the same time share one look-up. It does not end with the caller that began it,
// but at the latest after Timeout. The decision is shared: it must not be changed.
func (r *Resolver) Decide(ctx context.Context, req Request) (*Decision, error) {
	return r.share(ctx, req, r.decide)
}

func (r *Resolver) share(
	ctx context.Context, req Request, decide func(context.Context, Request) (*Decision, error),
) (*Decision, error) {
	result := r.inFlight.DoChan(req.key(), func() (_ any, err error) {
		// Here a panic would end the process, not just this pull.
		defer func() {
			if p := recover(); p != nil {
				r.log.Error("panic while deciding about a reference", "reference", Line(req.Reference), "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("decide about %s: internal error, see the log of imagefit", Line(req.Reference))
			}
		}()
		ctx := context.WithoutCancel(ctx)
		if limit := req.Snapshot.Rules.Timeout; limit > 0 {
			limited, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			ctx = limited
		}
		d, err := decide(ctx, req)
		return sharedResult{d, trace.SpanContextFromContext(ctx)}, err
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("decide about %s: %w", Line(req.Reference), context.Cause(ctx))
	case result := <-result:
		shared, _ := result.Val.(sharedResult) // zero after a panic
		tracing.Link(ctx, shared.span)
		return shared.decision, result.Err
	}
}

// sharedResult is what comes of a shared look-up, and the span of the caller that
// began it.
type sharedResult struct {
	decision *Decision
	span     trace.SpanContext
}

// key tells requests apart by reference, credentials and snapshot.
func (req Request) key() string {
	return digestOf(fmt.Sprintf("%p %p %q", req.Snapshot.Rules, req.Snapshot.Facts, req.Reference), req.Auth)
}

// digestOf tells credentials apart within a scope. They stay within the hash.
func digestOf(scope string, auth *registry.Auth) string {
	auth = cmp.Or(auth, &registry.Auth{})
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %q %q %q", scope,
		auth.Username, auth.Password, auth.Auth, auth.IdentityToken, auth.RegistryToken, auth.ServerAddress))
	return string(sum[:])
}
