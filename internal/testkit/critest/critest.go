// Package critest serves a scripted CRI runtime on a unix socket and connects to it.
package critest

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/cri"
)

// Runtime is a CRI runtime of which a test writes what it needs.
type Runtime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	OnVersion func(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error)
	OnList    func(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error)
	OnPull    func(context.Context, *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error)
	OnImages  func(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error)
	OnEvents  func(*runtimeapi.GetEventsRequest, grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error
}

// Version answers as OnVersion, or that it is "fake 2.4.2".
func (r *Runtime) Version(ctx context.Context, req *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	if r.OnVersion == nil {
		return &runtimeapi.VersionResponse{Version: req.Version, RuntimeName: "fake", RuntimeVersion: "2.4.2", RuntimeApiVersion: "v1"}, nil
	}
	return r.OnVersion(ctx, req)
}

// ListContainers answers as OnList.
func (r *Runtime) ListContainers(ctx context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return r.OnList(ctx, req)
}

// PullImage answers as OnPull.
func (r *Runtime) PullImage(ctx context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	return r.OnPull(ctx, req)
}

// ListImages answers as OnImages, if that is set.
func (r *Runtime) ListImages(ctx context.Context, req *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	if r.OnImages == nil {
		return r.UnimplementedImageServiceServer.ListImages(ctx, req)
	}
	return r.OnImages(ctx, req)
}

// GetContainerEvents answers as OnEvents.
func (r *Runtime) GetContainerEvents(req *runtimeapi.GetEventsRequest, s grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	return r.OnEvents(req, s)
}

// Socket returns the path of a socket that does not exist yet.
func Socket(t testing.TB) string { return filepath.Join(t.TempDir(), "runtime.sock") }

// Start serves a runtime at path until the test ends or the returned function is called.
func Start(t testing.TB, path string, runtime *Runtime) (stop func()) {
	t.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20))
	runtimeapi.RegisterRuntimeServiceServer(server, runtime)
	runtimeapi.RegisterImageServiceServer(server, runtime)
	return Serve(t, path, server)
}

// StartRaw serves a runtime at path that knows no service and leaves every call, with
// [cri.Frame] as messages, to handler.
func StartRaw(t testing.TB, path string, handler func(grpc.ServerStream) error) {
	t.Helper()
	Serve(t, path, rawServer(handler))
}

func rawServer(handler func(grpc.ServerStream) error) *grpc.Server {
	return grpc.NewServer(append(cri.ServerOptions(),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return handler(s) }))...)
}

// Serve serves at path until the test ends or the returned function is called.
func Serve(t testing.TB, path string, server *grpc.Server) (stop func()) {
	t.Helper()
	return serve(t, path, server, func(l net.Listener) net.Listener { return l })
}

func serve(t testing.TB, path string, server *grpc.Server, behind func(net.Listener) net.Listener) (stop func()) {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	listener := behind(inner)
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

// Dial connects to path as the kubelet does.
func Dial(t testing.TB, path string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
