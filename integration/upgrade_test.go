package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// upgrades is how often the proxy is exchanged under its clients.
const upgrades = 20

// manager is a service manager: it holds the proxy's socket, starts the proxy
// with it and hears what the proxy says of itself.
type manager struct {
	fit    *fit
	socket *os.File
	told   *net.UnixConn
	proxy  *exec.Cmd
}

// newManager takes the place of the proxy that startFit started.
func newManager(t *testing.T, f *fit) *manager {
	t.Helper()
	if err := f.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", f.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // the file descriptor below is the socket
	socket, err := listener.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.containerd.Dir, "notify.sock")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{fit: f, socket: socket, told: told}
	t.Cleanup(func() {
		if m.proxy != nil {
			m.stop(t)
		}
		_ = errors.Join(told.Close(), socket.Close())
	})
	return m
}

// start starts the proxy and returns when it says that it is ready.
func (m *manager) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(m.fit.Proxy.Log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.proxy = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, m.fit.Proxy.Path}, m.fit.Proxy.Args...)...)
	m.proxy.Env = append(stack.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+m.told.LocalAddr().String())
	m.proxy.ExtraFiles = []*os.File{m.socket}
	m.proxy.Stdout, m.proxy.Stderr = log, log
	if err := m.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	m.await(t, "READY=1")
}

// stop asks the proxy to end and waits until it has.
func (m *manager) stop(t *testing.T) {
	t.Helper()
	if err := m.proxy.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.await(t, "STOPPING=1")
	if err := m.proxy.Wait(); err != nil {
		t.Errorf("the proxy ended with %v", err)
	}
	m.proxy = nil
}

// await reads what the proxy says until it says this.
func (m *manager) await(t *testing.T, assignment string) {
	t.Helper()
	_ = m.told.SetReadDeadline(time.Now().Add(20 * time.Second))
	buffer := make([]byte, 4096)
	for {
		size, err := m.told.Read(buffer)
		if err != nil {
			t.Fatalf("wait for %s: %v", assignment, err)
		}
		if strings.HasPrefix(string(buffer[:size]), assignment) {
			return
		}
	}
}

// clients call the proxy without a pause, each on its own connection.
type clients struct {
	running sync.WaitGroup
	end     context.CancelFunc
	calls   [4]atomic.Int64
	failed  func(name string, err error)
}

// startClients starts one client for pods, one for containers and images, one that
// pulls, and one that listens to events; each call may take as long as a kubelet gives it.
func startClients(t *testing.T, f *fit, image string, failed func(name string, err error)) *clients {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	c := &clients{end: end, failed: failed}
	t.Cleanup(func() {
		end()
		c.running.Wait()
	})
	for i, client := range []struct {
		name string
		call func(context.Context, *stack.CRI) error
	}{
		{"Version", func(ctx context.Context, cri *stack.CRI) error {
			_, err := cri.Runtime.Version(ctx, &runtimeapi.VersionRequest{})
			return err
		}},
		{"ListContainers, ImageStatus", func(ctx context.Context, cri *stack.CRI) error {
			_, err := cri.Runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
			_, statusErr := cri.Status(ctx, image)
			return errors.Join(err, statusErr)
		}},
		{"PullImage", func(ctx context.Context, cri *stack.CRI) error {
			_, err := cri.Pull(ctx, image, stack.PullOptions{})
			return err
		}},
		{"GetContainerEvents", listen},
	} {
		cri, err := f.containerd.Via(f.Socket)
		if err != nil {
			t.Fatal(err)
		}
		c.running.Go(func() {
			defer cri.Close()
			for ctx.Err() == nil {
				limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
				err := client.call(limited, cri)
				cancel()
				if err != nil && ctx.Err() == nil {
					c.failed(client.name, err)
				}
				c.calls[i].Add(1)
			}
		})
	}
	return c
}

// listen hears events until the stream ends, which must be for a reason for which clients try
// again.
func listen(ctx context.Context, cri *stack.CRI) error {
	events, err := cri.Runtime.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
	for err == nil {
		_, err = events.Recv()
	}
	if status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "imagefit: the proxy is shutting down") {
		return nil
	}
	return fmt.Errorf("the stream of events ended: %w", err)
}

// counts returns how many calls each client has made.
func (c *clients) counts() (counts [3]int64) {
	for i := range counts { // The stream of events need not end.
		counts[i] = c.calls[i].Load()
	}
	return counts
}

// awaitCalls waits until each client made two more calls, so that one of them began
// after this did.
func (c *clients) awaitCalls(t *testing.T) {
	t.Helper()
	before := c.counts()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		now, all := c.counts(), true
		for i := range now {
			all = all && now[i] >= before[i]+2
		}
		if all {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("clients hang: calls %v, then %v", before, now)
		}
	}
}

// An upgrade loses no call: the service manager holds the socket, the old proxy ends when its
// last pull has, and the new one takes those who wait.
func TestUpgradeLosesNoCall(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.pull(t, repo.Ref("1"))
	m := newManager(t, f)
	m.start(t)
	f.registry.Inject(stack.Fault{Path: "/manifests/", Delay: 100 * time.Millisecond})
	c := startClients(t, f, repo.Ref("1"), func(name string, err error) { t.Errorf("%s: %v", name, err) })
	for range upgrades {
		c.awaitCalls(t)
		m.stop(t)
		m.start(t)
	}
	c.awaitCalls(t)
	c.end()
	c.running.Wait()
	t.Logf("calls: %v", c.counts())
	if _, err := os.Lstat(f.Socket); err != nil {
		t.Errorf("a proxy removed the socket that it was given: %v", err)
	}
}

// Without a service manager that holds the socket nothing listens for
// a moment: calls then fail with Unavailable, which clients retry, and nothing hangs.
func TestPlainRestartIsUnavailable(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.pull(t, repo.Ref("1"))
	f.registry.Inject(stack.Fault{Path: "/manifests/", Delay: 100 * time.Millisecond})
	var unavailable atomic.Int64
	c := startClients(t, f, repo.Ref("1"), func(name string, err error) {
		for _, err := range flatten(err) {
			if status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
		unavailable.Add(1)
		time.Sleep(20 * time.Millisecond) // as a client that tries again
	})
	for range upgrades / 4 {
		c.awaitCalls(t)
		if err := f.Proxy.Stop(drainTime); err != nil {
			t.Fatal(err)
		}
		if err := f.StartProxy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitCalls(t)
	t.Logf("calls: %v, Unavailable: %d", c.counts(), unavailable.Load())
}

// flatten returns the errors that were joined.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
