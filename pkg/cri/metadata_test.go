package cri_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
)

func TestRequestMetadataReachesTheRuntimeUnchanged(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	var mu sync.Mutex
	var got []metadata.MD
	critest.StartRaw(t, path, func(s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		mu.Lock()
		defer mu.Unlock()
		for _, hop := range []string{"content-type", "user-agent", ":authority", "imagefit-hops"} {
			delete(md, hop)
		}
		got = append(got, md)
		return nil
	})
	direct, proxied := pair(t, path)
	sent := metadata.Pairs("x-one", "1", "x-many", "a", "x-many", "b", "x-many", "", "x-raw-bin", "\x00\x01\xff", "x-raw-bin", "",
		"grpc-trace-bin", "\x00\x00", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for _, method := range []string{versionMethod, eventsMethod, "/future.v2.Service/Chat"} {
		observe(t, direct, method, sent, []byte{1})
		observe(t, proxied, method, sent, []byte{1})
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: the runtime saw %v\ndirectly %v", method, got[1], got[0])
		}
		if len(got[1]["x-many"]) != 3 || got[1]["x-raw-bin"][0] != "\x00\x01\xff" {
			t.Errorf("%s: the runtime saw %v", method, got[1])
		}
		got = nil
	}
}

func TestDeadlineOfTheClientReachesTheRuntime(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	deadlines := make(chan time.Time, 1)
	critest.Start(t, path, &critest.Runtime{OnVersion: func(ctx context.Context, _ *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
		deadline, _ := ctx.Deadline()
		deadlines <- deadline
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, proxied := pair(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := runtimeapi.NewRuntimeServiceClient(proxied).Version(ctx, &runtimeapi.VersionRequest{})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	want, _ := ctx.Deadline()
	if got := <-deadlines; got.Sub(want).Abs() > 100*time.Millisecond {
		t.Errorf("the runtime's deadline is %v off", got.Sub(want))
	}
}
