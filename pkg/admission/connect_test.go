package admission

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"
)

// nriRuntime is the runtime's side of NRI, as containerd has it, behind a socket
// whose connections can be cut: the real thing cuts them only by dying.
type nriRuntime struct {
	*adaptation.Adaptation
	t     *testing.T
	inner string
	synch chan struct{} // gets one for each plugin taken in

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	relays   sync.WaitGroup
}

func startNRI(t *testing.T, version string) *nriRuntime {
	t.Helper()
	dir := t.TempDir()
	r := &nriRuntime{t: t, inner: filepath.Join(dir, "inner.sock"), synch: make(chan struct{}, 16)}
	sync := func(ctx context.Context, cb adaptation.SyncCB) error {
		_, err := cb(ctx, []*api.PodSandbox{pod("default", "api")}, []*api.Container{container("unfit")})
		if err == nil {
			r.synch <- struct{}{}
		}
		return err
	}
	update := func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil }
	a, err := adaptation.New("containerd", version, sync, update,
		adaptation.WithSocketPath(r.inner), adaptation.WithPluginPath(dir), adaptation.WithPluginConfigPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	r.Adaptation = a
	select { // it also synchronizes when it starts, with no plugin
	case <-r.synch:
	default:
	}
	t.Cleanup(func() {
		r.die()
		a.Stop()
	})
	return r
}

// listen lets plugins connect at path.
func (r *nriRuntime) listen(path string) {
	r.t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.listener = listener
	r.mu.Unlock()
	r.relays.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", r.inner)
			if err != nil {
				_ = from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, to)
			r.mu.Unlock()
			for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
				r.relays.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
}

// die cuts all connections and takes the socket away.
func (r *nriRuntime) die() {
	r.mu.Lock()
	if r.listener != nil {
		_ = r.listener.Close()
	}
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.relays.Wait()
}

// synchronized waits until a plugin is taken in, and ready for requests.
func (r *nriRuntime) synchronized() {
	r.t.Helper()
	select {
	case <-r.synch:
	case <-time.After(10 * time.Second):
		r.t.Fatal("no plugin came within 10 s")
	}
	r.BlockPluginSync().Unblock()
}

// create asks the plugins about a container.
func (r *nriRuntime) create(image string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := r.CreateContainer(ctx, &api.CreateContainerRequest{Pod: pod("default", "api"), Container: container(image)})
	return err
}

// startRun runs the plugin until the test ends or stop is called.
func startRun(t *testing.T, socket string) (log *lines, stop func()) {
	t.Helper()
	log = new(lines)
	p := newTestPlugin(newKnownImages(t), policyWith(nil), log.logger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, p, Socket{Path: socket, PluginName: "imagefit", PluginIndex: "10"}, log.logger())
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run goes on 5 s after its context ended")
		}
	})
	t.Cleanup(stop)
	return log, stop
}

func checkRefused(t *testing.T, r *nriRuntime) {
	t.Helper()
	if err := r.create("unfit"); err == nil || !strings.Contains(err.Error(), unfit) {
		t.Errorf("an unfit container: %v, want %s", err, unfit)
	}
	if err := r.create("fits"); err != nil {
		t.Errorf("a container that fits: %v", err)
	}
}

// TestRun starts the plugin before the runtime and lets the runtime die.
func TestRun(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startNRI(t, "v2.4.2")
	log, stop := startRun(t, socket)
	time.Sleep(400 * time.Millisecond)
	if n := log.count("waiting for the runtime"); n != 1 {
		t.Errorf("%d lines while it waits, want 1", n)
	}
	for round := range 3 {
		r.listen(socket)
		r.synchronized()
		checkRefused(t, r)
		if log.count("action=unfit") != round+1 {
			t.Error("the plugin was not told what runs already")
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
	if log.count("the runtime closed the connection") != 3 {
		t.Errorf("the log does not tell of three losses: %s", log.buf.String())
	}
}

// TestRunOldRuntime meets a runtime that asks before a container is created and
// knows of no validation.
func TestRunOldRuntime(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startNRI(t, "v1.7.30")
	r.listen(socket)
	log, _ := startRun(t, socket)
	r.synchronized()
	checkRefused(t, r)
	if log.count("does not validate containers") != 1 {
		t.Error("it asked to validate")
	}
}

func TestRunEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	_, stop := startRun(t, filepath.Join(t.TempDir(), "nobody.sock"))
	time.Sleep(50 * time.Millisecond)
	stop()
}

// oddRuntime takes connections and treats them badly.
type oddRuntime struct {
	conn     net.Conn
	register func(conn net.Conn) error
}

func (o oddRuntime) RegisterPlugin(context.Context, *api.RegisterPluginRequest) (*api.Empty, error) {
	return &api.Empty{}, o.register(o.conn)
}

func (oddRuntime) UpdateContainers(context.Context, *api.UpdateContainersRequest) (*api.UpdateContainersResponse, error) {
	return &api.UpdateContainersResponse{}, nil
}

// TestRunOddRuntime connects to runtimes that never take the plugin in. Nothing
// may stay behind of any try; goleak looks when all tests are done.
func TestRunOddRuntime(t *testing.T) {
	t.Parallel()
	hangUp := func(conn net.Conn) error {
		time.AfterFunc(20*time.Millisecond, func() { _ = conn.Close() })
		return nil
	}
	silent := func(net.Conn) error { return nil }
	refuse := func(net.Conn) error { return io.ErrUnexpectedEOF }
	for name, serve := range map[string]func(t *testing.T, conn net.Conn){
		"hangs up at once":                func(_ *testing.T, conn net.Conn) { _ = conn.Close() },
		"never answers":                   func(*testing.T, net.Conn) {},
		"hangs up after the registration": odd(hangUp),
		"never configures":                odd(silent),
		"refuses":                         odd(refuse),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "nri.sock")
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			var accepting sync.WaitGroup
			tries := make(chan struct{}, 1000)
			accepting.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					t.Cleanup(func() { _ = conn.Close() })
					serve(t, conn)
					tries <- struct{}{}
				}
			})
			_, stop := startRun(t, socket)
			time.Sleep(500 * time.Millisecond)
			stop()
			_ = listener.Close()
			accepting.Wait()
			if len(tries) == 0 {
				t.Error("it did not connect")
			}
		})
	}
}

// odd serves NRI's runtime service with this answer to a registration.
func odd(register func(net.Conn) error) func(*testing.T, net.Conn) {
	return func(t *testing.T, conn net.Conn) {
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
		api.RegisterRuntimeService(server, oddRuntime{conn, register})
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
