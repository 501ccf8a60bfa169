package admission

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"

	"github.com/imagefit/imagefit/internal/testkit"
)

// TestPluginReconnectsWheneverTheRuntimeRestarts starts before the runtime.
func TestPluginReconnectsWheneverTheRuntimeRestarts(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startNRI(t, "v2.4.2")
	log, stop := startRun(t, socket)
	for round := range 3 {
		r.listen(socket)
		r.synchronized()
		checkRefused(t, r)
		for deadline := time.Now().Add(time.Minute); log.Count("action=unfit") != round+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the plugin did not record the running containers")
			}
		}
		r.die()
		if err := r.create("unfit"); err != nil && strings.Contains(err.Error(), unfit) {
			t.Error("a dead plugin answered")
		}
	}
	r.listen(socket)
	r.synchronized()
	checkRefused(t, r)
	stop()
	if log.Count("the runtime closed the connection") != 3 {
		t.Errorf("the log does not have three lost connections: %s", log.String())
	}
}

// TestOldRuntimeRefusesInCreateContainer: it has no hook to validate containers.
func TestOldRuntimeRefusesInCreateContainer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startNRI(t, "v1.7.30")
	r.listen(socket)
	log, _ := startRun(t, socket)
	r.synchronized()
	checkRefused(t, r)
	if log.Count("has no hook to validate containers") != 1 {
		t.Error("it subscribed to the hook that validates")
	}
}

func TestWaitingForTheRuntimeIsLoggedOnceAndEndsWithTheContext(t *testing.T) {
	t.Parallel()
	images, log := newKnownImages(t), new(testkit.Log)
	socket := Socket{Path: filepath.Join(t.TempDir(), "absent.sock"), PluginName: "imagefit", PluginIndex: "10"}
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlugin(unwatched{images}, policyWith(nil), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), 10*maxBackoff)
		defer cancel()
		if err := Run(ctx, p, socket, log.Logger()); err != nil {
			t.Error(err)
		}
	})
	if n := log.Count("waiting for the runtime"); n != 1 {
		t.Errorf("%d lines while it waits, want 1", n)
	}
}

// brokenRuntime answers a registration with register.
type brokenRuntime struct{ register func() error }

func (b brokenRuntime) RegisterPlugin(context.Context, *api.RegisterPluginRequest) (*api.Empty, error) {
	return &api.Empty{}, b.register()
}

func (brokenRuntime) UpdateContainers(context.Context, *api.UpdateContainersRequest) (*api.UpdateContainersResponse, error) {
	return &api.UpdateContainersResponse{}, nil
}

// TestBrokenRuntimesLeaveNoGoroutineBehind connects to runtimes that never finish a
// registration; goleak looks when all tests are done.
func TestBrokenRuntimesLeaveNoGoroutineBehind(t *testing.T) {
	t.Parallel()
	closeSoon := func(conn net.Conn) error {
		time.AfterFunc(20*time.Millisecond, func() { _ = conn.Close() })
		return nil
	}
	silent := func(net.Conn) error { return nil }
	refuse := func(net.Conn) error { return io.ErrUnexpectedEOF }
	for name, test := range map[string]struct {
		serve    func(t *testing.T, conn net.Conn, tried func())
		attempts int // to wait for
	}{
		"closes at once": {func(_ *testing.T, conn net.Conn, tried func()) {
			_ = conn.Close()
			tried()
		}, 3},
		"never answers":                 {func(_ *testing.T, _ net.Conn, tried func()) { tried() }, 1},
		"closes after the registration": {registers(closeSoon), 2},
		"never configures":              {registers(silent), 1},
		"refuses":                       {registers(refuse), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "nri.sock")
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			var accepting sync.WaitGroup
			attempts := make(chan struct{}, 1000)
			accepting.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					t.Cleanup(func() { _ = conn.Close() })
					test.serve(t, conn, func() { attempts <- struct{}{} })
				}
			})
			_, stop := startRun(t, socket)
			for range test.attempts {
				select {
				case <-attempts:
				case <-time.After(time.Minute):
					t.Error("the plugin did not connect")
				}
			}
			stop()
			_ = listener.Close()
			accepting.Wait()
		})
	}
}

// registers serves NRI's runtime service with this answer to a registration.
func registers(register func(net.Conn) error) func(*testing.T, net.Conn, func()) {
	return func(t *testing.T, conn net.Conn, tried func()) {
		mux := multiplex.Multiplex(conn)
		listener, err := mux.Listen(multiplex.RuntimeServiceConn)
		if err != nil {
			t.Error(err)
			return
		}
		server, err := ttrpc.NewServer()
		if err != nil {
			t.Error(err)
			return
		}
		api.RegisterRuntimeService(server, brokenRuntime{func() error {
			defer tried()
			return register(conn)
		}})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(context.Background(), listener)
		}()
		t.Cleanup(func() {
			_ = server.Close()
			_ = mux.Close()
			<-done
		})
	}
}
