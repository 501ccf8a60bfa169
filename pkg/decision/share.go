package decision

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/tracing"
)

// Decide resolves the reference, looks at every candidate and chooses. An error
// means that nothing was decided: the reference or the registry could not be
// read.
//
// Callers that ask for the same reference with the same credentials and snapshot
// at the same time share one look-up. It ends with the last of them, and at the latest
// after Timeout. The decision is shared: it must not be changed.
func (r *Resolver) Decide(ctx context.Context, req Request) (*Decision, error) {
	return r.share(ctx, req, r.decide)
}

type decideFunc func(context.Context, Request) (*Decision, error)

func (r *Resolver) share(ctx context.Context, req Request, decide decideFunc) (*Decision, error) {
	key := req.key()
	f := r.flights.join(key, func(f *flight) { r.begin(ctx, req, decide, f) })
	defer r.flights.leave(key, f)
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("decide about %s: %w", Line(req.Reference), context.Cause(ctx))
	case <-f.done:
		tracing.Link(ctx, f.span)
		return f.decision, f.err
	}
}

// begin begins a look-up on behalf of all its callers.
func (r *Resolver) begin(ctx context.Context, req Request, decide decideFunc, f *flight) {
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer r.ended()
		defer close(f.done)
		// Here a panic would end the process, not just this pull.
		defer func() {
			if p := recover(); p != nil {
				r.log.Error("panic while deciding about a reference", "reference", Line(req.Reference), "panic", p, "stack", string(debug.Stack()))
				f.err = fmt.Errorf("decide about %s: internal error, see the log of imagefit", Line(req.Reference))
			}
		}()
		f.span = trace.SpanContextFromContext(ctx)
		f.decision, f.err = decide(ctx, req)
	}()
}

// flight is a look-up that is under way.
type flight struct {
	callers int
	cancel  context.CancelFunc
	done    chan struct{}

	// what comes of it, and the span of the caller that began it
	decision *Decision
	err      error
	span     trace.SpanContext
}

// ended notes the end of a look-up.
func (r *Resolver) ended() {
	r.flights.mu.Lock()
	r.flights.running--
	last := r.flights.running == 0
	r.flights.mu.Unlock()
	if last {
		r.trimmer.soon()
	}
}

// flights are the look-ups that are under way.
type flights struct {
	mu      sync.Mutex
	byKey   map[string]*flight
	running int // those that no caller waits for included
}

// join returns the flight of a key. The first caller begins it.
func (all *flights) join(key string, begin func(*flight)) *flight {
	all.mu.Lock()
	defer all.mu.Unlock()
	f := all.byKey[key]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		all.byKey[key] = f
		all.running++
		begin(f)
	}
	f.callers++
	return f
}

// leave ends a flight with its last caller: work that no pull waits for is not done.
func (all *flights) leave(key string, f *flight) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if f.callers--; f.callers == 0 {
		delete(all.byKey, key)
		f.cancel()
	}
}

// key tells requests apart by reference, credentials and snapshot.
func (req Request) key() string {
	return digestOf(fmt.Sprintf("%p %p %t %q", req.Snapshot.Rules, req.Snapshot.Facts, req.Explain, req.Reference), req.Auth)
}

// digestOf tells credentials apart within a scope. They stay within the hash.
func digestOf(scope string, auth *registry.Auth) string {
	auth = cmp.Or(auth, &registry.Auth{})
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %q %q %q", scope,
		auth.Username, auth.Password, auth.Auth, auth.IdentityToken, auth.RegistryToken, auth.ServerAddress))
	return string(sum[:])
}
