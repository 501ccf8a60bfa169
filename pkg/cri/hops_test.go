package cri_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// startChained serves at path and sends all calls to next. Each call is counted.
func startChained(t *testing.T, path, next string, log io.Writer) *atomic.Int64 {
	t.Helper()
	backend, err := cri.NewBackend("unix://" + next)
	if err != nil {
		t.Fatal(err)
	}
	calls := new(atomic.Int64)
	server := criproxy.New(criproxy.Options{
		Backend: backend, Log: slog.New(slog.NewTextHandler(log, nil)),
		Intercept: map[string]criproxy.Handler{
			// A call of the proxy's own for each that it serves, as a pull makes them.
			criproxy.PullImage: func(s grpc.ServerStream) error {
				calls.Add(1)
				reply, err := runtimeapi.NewImageServiceClient(backend).PullImage(s.Context(), &runtimeapi.PullImageRequest{})
				if err != nil {
					return err
				}
				return s.SendMsg(reply)
			},
		},
	})
	listener, err := unixsocket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = backend.Close()
	})
	return calls
}

// chainCalls makes calls of every kind: forwarded ones of one message and of many, and
// one for which the proxy makes a call of its own.
var chainCalls = map[string]func(context.Context, *grpc.ClientConn) error{
	"unary": func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := runtimeapi.NewRuntimeServiceClient(conn).Version(ctx, &runtimeapi.VersionRequest{})
		return err
	},
	"stream": func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := runtimeapi.NewRuntimeServiceClient(conn).GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	},
	"unknown": func(ctx context.Context, conn *grpc.ClientConn) error {
		return conn.Invoke(ctx, "/future.v2.Service/Call", &runtimeapi.VersionRequest{}, new(runtimeapi.VersionResponse))
	},
	"own": func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := runtimeapi.NewImageServiceClient(conn).PullImage(ctx, &runtimeapi.PullImageRequest{})
		return err
	},
}

func TestCallsThatLeadBackToTheProxyAreRefused(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int{"to itself": 1, "by another proxy": 2, "by three others": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Dir(critest.Socket(t))
			path := func(i int) string { return filepath.Join(dir, string(rune('a'+i%length))+".sock") }
			log := new(testkit.Log)
			var pulls []*atomic.Int64
			for i := range length {
				pulls = append(pulls, startChained(t, path(i), path(i+1), log))
			}
			conn := critest.Dial(t, path(0))
			for kind, call := range chainCalls {
				err := call(soon(t), conn)
				if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), path(0)) ||
					!strings.Contains(err.Error(), path(1)) || strings.Count(err.Error(), "imagefit:") != 1 {
					t.Errorf("%s: %v", kind, err)
				}
			}
			for i, count := range pulls {
				if count.Load() != 1 {
					t.Errorf("proxy %d made %d calls of its own for one pull", i, count.Load())
				}
			}
			if got := log.Count("leads back to this proxy"); got != 1 { // of four calls
				t.Errorf("logged %d times:\n%s", got, log.String())
			}
			text, err := (cri.Probe{Socket: path(0), Runtime: path(1)}).Check(soon(t))
			if err != nil || !strings.Contains(text, "leads back to it") { // a restart would not help
				t.Errorf("the watchdog's probe: %q, %v", text, err)
			}
		})
	}
}

// TestChainOfProxiesServes: one proxy may be before another, also where the runtime takes
// nothing but the plain content type.
func TestChainOfProxiesServes(t *testing.T) {
	t.Parallel()
	runtime := critest.Socket(t)
	hops := make(chan []string, 1)
	critest.StartStrictRaw(t, runtime, func(s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		hops <- md.Get("imagefit-hops")
		if err := s.RecvMsg(new(cri.Frame)); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return s.SendMsg(cri.NewFrame(nil))
	})
	dir := filepath.Dir(runtime)
	startChained(t, filepath.Join(dir, "b.sock"), runtime, io.Discard)
	startChained(t, filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock"), io.Discard)
	conn := critest.Dial(t, filepath.Join(dir, "a.sock"))
	for kind, call := range chainCalls {
		if err := call(soon(t), conn); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := <-hops; len(got) != 2 || got[0] == got[1] {
			t.Errorf("%s: the runtime saw the hops %q", kind, got)
		}
	}
}
