package criproxy

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// drained is a proxy with a pull, an event stream and a chat under way.
type drained struct {
	server *Server
	conn   *grpc.ClientConn
	finish chan struct{} // lets the pull finish
	pull   <-chan error
	stream <-chan error
	chat   <-chan error
}

func startDrained(t *testing.T) *drained {
	t.Helper()
	d := &drained{finish: make(chan struct{})}
	began := make(chan struct{}, 1)
	path := critest.Socket(t)
	critest.StartRaw(t, path, func(s grpc.ServerStream) error {
		began <- struct{}{}
		<-s.Context().Done()
		return nil
	})
	var proxyPath string
	d.server, proxyPath = startProxy(t, path, interceptPull(func(_ *cri.Backend, s grpc.ServerStream) error {
		began <- struct{}{}
		select {
		case <-d.finish:
			return s.SendMsg(&runtimeapi.PullImageResponse{ImageRef: "done"})
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}))
	d.conn = critest.Dial(t, proxyPath)
	d.pull = pulls(t, d.conn)
	<-began
	endless := func(method string) <-chan error {
		done := make(chan error, 1)
		stream, err := d.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(cri.Codec()))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(cri.NewFrame([]byte("go"))); err != nil {
			t.Fatal(err)
		}
		go func() { done <- stream.RecvMsg(new(cri.Frame)) }()
		<-began
		return done
	}
	d.stream = endless(runtimeapi.RuntimeService_GetContainerEvents_FullMethodName)
	d.chat = endless("/future.v2.Service/Chat")
	return d
}

func (d *drained) shutdown(t *testing.T, limit time.Duration) (took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	start := time.Now()
	err = d.server.Shutdown(ctx)
	return time.Since(start), err
}

func refused(err error) bool {
	return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "imagefit: the proxy is shutting down")
}

func TestPullThatShutdownCutsOffIsUnavailable(t *testing.T) {
	t.Parallel()
	d := startDrained(t)
	took, err := d.shutdown(t, 300*time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
		t.Errorf("shutdown took %v: %v", took, err)
	}
	if err := <-d.pull; !refused(err) {
		t.Errorf("the pull that was cut off: %v", err)
	}
}

// TestAnswerOfTheLastCallArrives: a pull that ends as the server stops must not lose its answer.
func TestAnswerOfTheLastCallArrives(t *testing.T) {
	t.Parallel()
	path := critest.Socket(t)
	critest.Start(t, path, &critest.Runtime{})
	for range 20 {
		finish, began := make(chan struct{}), make(chan struct{})
		backend, err := cri.NewBackend(path)
		if err != nil {
			t.Fatal(err)
		}
		server := New(Options{Backend: backend, Log: slog.New(slog.DiscardHandler), Intercept: map[string]Handler{
			PullImage: func(s grpc.ServerStream) error {
				close(began)
				<-finish
				return s.SendMsg(&runtimeapi.PullImageResponse{ImageRef: "done"})
			}}})
		proxyPath := path + ".proxy"
		listener, err := unixsocket.Listen(proxyPath)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		conn := critest.Dial(t, proxyPath)
		pull := pulls(t, conn)
		<-began
		go close(finish)
		if err := server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-pull; err != nil {
			t.Fatalf("the last answer was lost: %v", err)
		}
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Close(), backend.Close()
	}
}

// TestShutdownBeforeServeLeavesNoSocket must neither hang nor leave the socket behind.
func TestShutdownBeforeServeLeavesNoSocket(t *testing.T) {
	t.Parallel()
	backend, err := cri.NewBackend("/nowhere/runtime.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	server := New(Options{Backend: backend, Log: slog.New(slog.DiscardHandler)})
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	listener, err := unixsocket.Listen(critest.Socket(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(listener); err != nil {
		t.Error(err)
	}
}
