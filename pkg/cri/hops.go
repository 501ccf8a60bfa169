package cri

import (
	"context"
	"crypto/rand"
	"slices"

	"google.golang.org/grpc/metadata"
)

// hopsKey is the metadata in which every proxy that a call has passed adds its id.
// Runtimes do not read it.
const hopsKey = "imagefit-hops"

// newHop returns an id that no other proxy has.
func newHop() string { return rand.Text() }

// HasPassed reports whether the call that ctx serves has been sent by this backend before:
// what is served here leads, by other proxies or directly, to where it is sent.
func (b *Backend) HasPassed(ctx context.Context) bool {
	return slices.Contains(metadata.ValueFromIncomingContext(ctx, hopsKey), b.hop)
}

// Endpoint returns the socket that calls of a method are sent to.
func (b *Backend) Endpoint(method string) string { return b.to(method).endpoint }

// hopped returns ctx for a call that leaves by this backend.
func (b *Backend) hopped(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, hopsKey, b.hop)
}

// copyHops adds the hops of the call that ctx serves to metadata that has none.
func copyHops(ctx context.Context, md metadata.MD) {
	if len(md[hopsKey]) > 0 {
		return
	}
	if hops := metadata.ValueFromIncomingContext(ctx, hopsKey); len(hops) > 0 {
		md[hopsKey] = hops
	}
}
