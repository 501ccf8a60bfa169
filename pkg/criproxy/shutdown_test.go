package criproxy

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

// slowRuntime has calls that end when they are told to.
type slowRuntime struct {
	critest.Runtime
	began, release chan struct{}
}

func startSlow(t *testing.T) (*slowRuntime, *Server, string) {
	t.Helper()
	r := &slowRuntime{began: make(chan struct{}, 10), release: make(chan struct{})}
	slow := func(ctx context.Context) error {
		r.began <- struct{}{}
		select {
		case <-r.release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.OnList = func(ctx context.Context, _ *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
		return &runtimeapi.ListContainersResponse{}, slow(ctx)
	}
	r.OnPull = func(ctx context.Context, _ *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
		return &runtimeapi.PullImageResponse{}, slow(ctx)
	}
	r.OnEvents = func(_ *runtimeapi.GetEventsRequest, s grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
		if err := s.Send(&runtimeapi.ContainerEventResponse{}); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}
	path := critest.Socket(t)
	critest.Start(t, path, &r.Runtime)
	server, proxyPath := startProxy(t, path, interceptPull(func(b *cri.Backend, s grpc.ServerStream) error {
		return b.Forward(s, PullImage)
	}))
	return r, server, proxyPath
}

// events opens a stream of events that has begun.
func events(t *testing.T, conn *grpc.ClientConn) grpc.ServerStreamingClient[runtimeapi.ContainerEventResponse] {
	t.Helper()
	stream, err := runtimeapi.NewRuntimeServiceClient(conn).GetContainerEvents(t.Context(), &runtimeapi.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestShutdownServesWhilePullsRun: until the last pull is over all calls are served, further
// pulls too, on old connections and new ones.
func TestShutdownServesWhilePullsRun(t *testing.T) {
	t.Parallel()
	r, server, path := startSlow(t)
	conn := critest.Dial(t, path)
	first := pulls(t, conn)
	<-r.began
	stream := events(t, conn)
	shutdown := make(chan error, 1)
	go func() { shutdown <- server.Shutdown(soon(t)) }()
	eventually(t, "shutdown waits for the pull", func() bool {
		server.calls.mu.Lock()
		defer server.calls.mu.Unlock()
		return server.calls.waiter != nil
	})
	second := pulls(t, critest.Dial(t, path))
	<-r.began
	for name, conn := range map[string]*grpc.ClientConn{"old": conn, "new": critest.Dial(t, path)} {
		if err := version(soon(t), conn); err != nil {
			t.Errorf("a call on the %s connection: %v", name, err)
		}
	}
	select {
	case err := <-shutdown:
		t.Fatalf("did not wait for the pulls: %v", err)
	default:
	}
	close(r.release)
	for _, pull := range []<-chan error{first, second} {
		if err := <-pull; err != nil {
			t.Errorf("a pull: %v", err)
		}
	}
	if _, err := stream.Recv(); !refused(err) {
		t.Errorf("the endless stream: %v", err)
	}
	if err := <-shutdown; err != nil {
		t.Error(err)
	}
}

// TestShutdownServesBesideALongCall: a call that is under way when the clients are sent away does not
// keep the others waiting, and is not cut off.
func TestShutdownServesBesideALongCall(t *testing.T) {
	t.Parallel()
	r, server, path := startSlow(t)
	conn := critest.Dial(t, path)
	long := make(chan error, 1)
	go func() {
		_, err := runtimeapi.NewRuntimeServiceClient(conn).ListContainers(t.Context(), &runtimeapi.ListContainersRequest{})
		long <- err
	}()
	<-r.began
	shutdown := make(chan error, 1)
	go func() { shutdown <- server.Shutdown(soon(t)) }()
	eventually(t, "a second generation", func() bool { return server.current() > 1 })
	// The second generation serves, also pulls and streams.
	for name, conn := range map[string]*grpc.ClientConn{"old": conn, "new": critest.Dial(t, path)} {
		if err := version(soon(t), conn); err != nil {
			t.Errorf("a call on the %s connection: %v", name, err)
		}
	}
	pull := pulls(t, conn)
	<-r.began
	stream := events(t, conn)
	select {
	case err := <-long:
		t.Errorf("the long call was cut off: %v", err)
	default:
	}
	close(r.release)
	for name, done := range map[string]<-chan error{"the long call": long, "the pull": pull, "shutdown": shutdown} {
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := stream.Recv(); !refused(err) {
		t.Errorf("the endless stream: %v", err)
	}
}

// eventually polls for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 seconds", what)
		}
	}
}

func (s *Server) current() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.generations)
}

// TestShutdownCutsCallsOffAtItsLimit: what runs too long is cut off, whatever it is.
func TestShutdownCutsCallsOffAtItsLimit(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*grpc.ClientConn) error{
		"pull": func(conn *grpc.ClientConn) error {
			_, err := runtimeapi.NewImageServiceClient(conn).PullImage(context.Background(), &runtimeapi.PullImageRequest{})
			return err
		},
		"unary": func(conn *grpc.ClientConn) error {
			_, err := runtimeapi.NewRuntimeServiceClient(conn).ListContainers(context.Background(), &runtimeapi.ListContainersRequest{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, limit := range []time.Duration{200 * time.Millisecond, goAwayTimeout + 300*time.Millisecond} {
				r, server, path := startSlow(t)
				done := make(chan error, 1)
				go func() { done <- call(critest.Dial(t, path)) }()
				<-r.began
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("after %v: %v", limit, err)
				}
				if err := <-done; status.Code(err) != codes.Unavailable {
					t.Errorf("after %v the call: %v", limit, err)
				}
			}
		})
	}
}

// TestSilentConnectionDoesNotDelayShutdown connects one that never sends anything.
func TestSilentConnectionDoesNotDelayShutdown(t *testing.T) {
	t.Parallel()
	_, server, path := startSlow(t)
	silent, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	framer := http2.NewFramer(conn, conn)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if _, err := framer.ReadFrame(); err != nil { // so both are past the gate
		t.Fatal(err)
	}
	shutdown := make(chan error, 1)
	go func() { shutdown <- server.Shutdown(soon(t)) }()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("hung up on instead of asked to leave: %v", err)
		}
		if _, ok := frame.(*http2.GoAwayFrame); ok {
			break
		}
	}
	_ = conn.Close()
	if err := <-shutdown; err != nil {
		t.Error(err)
	}
}
