package criproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestServedCountsCallsByKindAndCode(t *testing.T) {
	t.Parallel()
	s := &Server{calls: newCalls()}
	counts := func() map[string]uint64 {
		found := map[string]uint64{}
		s.Served(func(kind, code string, count uint64) { found[kind+" "+code] = count })
		return found
	}
	none := map[string]uint64{"intercepted OK": 0, "unary OK": 0, "streaming OK": 0}
	if got := counts(); !maps.Equal(got, none) {
		t.Errorf("before any call: %v", got)
	}
	for _, call := range []struct {
		kind callKind
		err  error
	}{
		{unary, nil}, {unary, nil}, {intercepted, nil},
		{unary, status.Error(codes.NotFound, "x")}, {unary, fmt.Errorf("with %w", status.Error(codes.NotFound, "x"))},
		{streaming, context.Canceled}, {streaming, context.DeadlineExceeded}, {streaming, errors.New("x")},
		{unary, status.Error(codes.Unauthenticated, "x")}, {unary, status.Error(17, "x")}, {unary, status.Error(4_000_000_000, "x")},
	} {
		s.calls.ended.add(call.kind, call.err)
	}
	want := map[string]uint64{
		"unary OK": 2, "intercepted OK": 1, "streaming OK": 0, "unary NotFound": 2, "unary Unauthenticated": 1,
		"unary other": 2, "streaming Canceled": 1, "streaming DeadlineExceeded": 1, "streaming Unknown": 1,
	}
	if got := counts(); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestCountingACallDoesNotAllocate: it runs alone, as AllocsPerRun wants.
func TestCountingACallDoesNotAllocate(t *testing.T) {
	counts := new(callCounts)
	if n := testing.AllocsPerRun(100, func() { counts.add(unary, nil) }); n > 0 {
		t.Errorf("counting a call takes %v allocations", n)
	}
}
