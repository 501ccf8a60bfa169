package criproxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// fakeRuntime is a real gRPC server that speaks CRI; tests replace what they need.
type fakeRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	version func(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error)
	list    func(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error)
	pull    func(context.Context, *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error)
	events  func(*runtimeapi.GetEventsRequest, grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error
}

func (f *fakeRuntime) Version(ctx context.Context, r *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	if f.version == nil {
		return &runtimeapi.VersionResponse{Version: r.Version, RuntimeName: "fake", RuntimeVersion: "2.4.2", RuntimeApiVersion: "v1"}, nil
	}
	return f.version(ctx, r)
}

func (f *fakeRuntime) ListContainers(ctx context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return f.list(ctx, r)
}

func (f *fakeRuntime) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	return f.pull(ctx, r)
}

func (f *fakeRuntime) GetContainerEvents(r *runtimeapi.GetEventsRequest, s grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	return f.events(r, s)
}

// startRuntime serves runtime on path until the test ends or the returned function is called.
func startRuntime(t testing.TB, path string, runtime *fakeRuntime, opts ...grpc.ServerOption) (stop func()) {
	t.Helper()
	opts = append([]grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20), grpc.MaxSendMsgSize(64 << 20)}, opts...)
	server := grpc.NewServer(opts...)
	runtimeapi.RegisterRuntimeServiceServer(server, runtime)
	runtimeapi.RegisterImageServiceServer(server, runtime)
	return serveOn(t, path, server)
}

func serveOn(t testing.TB, path string, server *grpc.Server) (stop func()) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	stop = func() {
		server.Stop()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// startProxy puts a Server in front of runtimePath and returns the path of its socket.
func startProxy(t testing.TB, runtimePath string, intercept func(*cri.Backend) map[string]Handler) (*Server, string) {
	t.Helper()
	backend, err := cri.NewBackend("unix://" + runtimePath)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Backend: backend, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if intercept != nil {
		opts.Intercept = intercept(backend)
	}
	server := New(opts)
	path := filepath.Join(filepath.Dir(runtimePath), "proxy.sock")
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
	return server, path
}

// dial connects as the kubelet does.
func dial(t testing.TB, path string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
	}, opts...)
	conn, err := grpc.NewClient("unix://"+path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
