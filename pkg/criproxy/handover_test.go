package criproxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/cri"
)

func version(ctx context.Context, conn grpc.ClientConnInterface) error {
	_, err := runtimeapi.NewRuntimeServiceClient(conn).Version(ctx, &runtimeapi.VersionRequest{})
	return err
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestRestartOnASharedSocketFailsNoCall lets one server after the other serve a socket
// that another process keeps open, as systemd does, while clients call all the time.
func TestRestartOnASharedSocketFailsNoCall(t *testing.T) {
	t.Parallel()
	runtimePath := critest.Socket(t)
	critest.Start(t, runtimePath, &critest.Runtime{OnPull: func(context.Context, *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
		time.Sleep(5 * time.Millisecond)
		return &runtimeapi.PullImageResponse{}, nil
	}})
	path := filepath.Join(filepath.Dir(runtimePath), "shared.sock")
	shared, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	var calls [3]atomic.Int32 // that were answered, by client
	client := func(i int, name string, call func(context.Context) error) {
		clients.Go(func() {
			for ctx.Err() == nil {
				limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				err := call(limited)
				cancel()
				if err != nil {
					t.Errorf("%s, call %d: %v", name, calls[i].Load(), err)
					stop()
				}
				calls[i].Add(1)
			}
		})
	}
	conn, other := critest.Dial(t, path), critest.Dial(t, path)
	client(0, "calls", func(ctx context.Context) error { return version(ctx, conn) })
	client(1, "calls on new connections", func(ctx context.Context) error {
		conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		return errors.Join(version(ctx, conn), conn.Close())
	})
	client(2, "pulls", func(ctx context.Context) error {
		_, err := runtimeapi.NewImageServiceClient(other).PullImage(ctx, &runtimeapi.PullImageRequest{})
		return err
	})
	for range 20 {
		shutdown := serveShared(t, shared.(*net.UnixListener), runtimePath)
		for i := range calls { // each of them is served and calls again
			before := calls[i].Load()
			eventually(t, "calls of each client", func() bool { return calls[i].Load() > before+1 || ctx.Err() != nil })
		}
		shutdown()
	}
	shutdown := serveShared(t, shared.(*net.UnixListener), runtimePath)
	stop()
	clients.Wait()
	shutdown()
}

// serveShared is a process that was given the socket.
func serveShared(t *testing.T, shared *net.UnixListener, runtimePath string) (shutdown func()) {
	t.Helper()
	file, err := shared.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := cri.NewBackend(runtimePath)
	if err != nil {
		t.Fatal(err)
	}
	server := New(Options{Backend: backend, Log: slog.New(slog.DiscardHandler), Intercept: map[string]Handler{
		PullImage: func(s grpc.ServerStream) error { return backend.Forward(s, PullImage) },
	}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener.(*net.UnixListener)) }()
	return func() {
		if err := server.Shutdown(soon(t)); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		_ = backend.Close()
	}
}
