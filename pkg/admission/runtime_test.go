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

	"github.com/imagefit/imagefit/internal/testkit"
)

// nriRuntime is the runtime's side of NRI, as containerd has it, behind a socket
// whose connections can be cut: the real one cuts them only when it dies.
type nriRuntime struct {
	*adaptation.Adaptation
	t     *testing.T
	inner string
	synch chan struct{} // receives once for each registered plugin

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

// die cuts all connections and removes the socket.
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

// synchronized waits until a plugin is registered and ready for requests.
func (r *nriRuntime) synchronized() {
	r.t.Helper()
	select {
	case <-r.synch:
	case <-time.After(time.Minute):
		r.t.Fatal("no plugin registered within a minute")
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
func startRun(t *testing.T, socket string) (log *testkit.Log, stop func()) {
	t.Helper()
	log = new(testkit.Log)
	p := newTestPlugin(newKnownImages(t), policyWith(nil), log.Logger())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, p, Socket{Path: socket, PluginName: "imagefit", PluginIndex: "10"}, log.Logger())
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("Run has not returned a minute after its context ended")
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
