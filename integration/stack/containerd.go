package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Options of a containerd.
type Options struct {
	// Version is one of Versions. Empty: the first.
	Version string
	// Extra is TOML put at the end of the configuration, for tables that the
	// stack does not write itself, e.g. a validator's settings.
	Extra string
	// DropIn is a second file that the configuration imports, for keys of tables
	// that the stack does write. containerd 1.7 replaces whole plugins by it.
	DropIn string
	// Mirrors are keys of registry.mirrors of containerd 1.7, in place of the
	// config_path that containerd does not allow beside them.
	Mirrors string
	// AnyNRI does not wait for NRI's socket, for a DropIn that switches NRI off.
	AnyNRI bool
}

// Containerd is a real containerd in a folder of its own.
type Containerd struct {
	// Dir holds everything of this containerd. Daemons under test may put their
	// sockets and state here as well: it is short, and removed by Stop.
	Dir string
	// Socket is containerd's gRPC socket, CRI and its own API.
	Socket string
	// NRISocket is where NRI plugins connect.
	NRISocket string
	// CertsDir is the hosts.toml folder (config_path) of this node.
	CertsDir string
	// PauseImage is the one image that is there from the start.
	PauseImage string
	// CRI speaks to this containerd directly.
	CRI *CRI
	// Process is the daemon; for its Tail and Pid.
	Process *Process

	work     *workDir
	anyNRI   bool // ready with or without NRI's socket
	pause    *Registry
	stopOnce sync.Once
	stopErr  error
}

// StartContainerd starts containerd and returns when its CRI answers and the
// pause image is there. The caller ends it with Stop.
func StartContainerd(ctx context.Context, opts Options) (*Containerd, error) {
	if err := Usable(); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	bins, err := binFolders(ctx, opts.Version)
	if err != nil {
		return nil, err
	}
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	c := &Containerd{
		Dir:       work.path,
		Socket:    filepath.Join(work.path, "containerd.sock"),
		NRISocket: filepath.Join(work.path, "nri.sock"),
		CertsDir:  filepath.Join(work.path, "certs.d"),
		Process: &Process{
			Path: filepath.Join(bins[0], "containerd"),
			Args: []string{"--config", filepath.Join(work.path, "config.toml")},
			Env:  []string{"PATH=" + strings.Join(append(bins, os.Getenv("PATH")), string(os.PathListSeparator))},
			Log:  filepath.Join(work.path, "containerd.log"),
		},
		work:   work,
		anyNRI: opts.AnyNRI,
	}
	if err := c.prepare(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start containerd: %w", err), c.Stop())
	}
	return c, nil
}

// binFolders are the folders with the programs of a version, its own first.
func binFolders(ctx context.Context, version string) ([]string, error) {
	switch {
	case version == "" || version == Containerd24:
		bin, err := Peers(ctx)
		return []string{bin}, err
	case slices.Contains(Versions(), version):
		part := Part(version)
		bin, err := Peers(ctx, "runc", "registry", "workload", part)
		return []string{filepath.Join(bin, part), bin}, err
	}
	return nil, fmt.Errorf("start containerd: version %s is not one of %v", version, Versions())
}

func (c *Containerd) prepare(ctx context.Context, opts Options) error {
	var err error
	if c.pause, err = NewRegistry(); err != nil {
		return err
	}
	repo := c.pause.Repo("pause")
	if _, err := repo.PushImage(ctx, "test", Image{Variant: "pause"}); err != nil {
		return err
	}
	c.PauseImage = repo.Ref("test")
	if err := writeConfig(c.Dir, c.PauseImage, opts); err != nil {
		return err
	}
	if c.CRI, err = c.Via(c.Socket); err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	_, err = c.CRI.Pull(ctx, c.PauseImage, PullOptions{})
	return err
}

// Start starts a stopped or killed containerd again on what it has on disk and
// waits until its CRI answers, which takes long after many pulls: containerd looks at
// every image first. Running pods keep running.
func (c *Containerd) Start(ctx context.Context) error {
	if err := c.Process.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for {
		err := c.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-c.Process.Exited():
			return fmt.Errorf("containerd ended as it started; its log ends with\n%s", c.Process.Tail(15))
		case <-ctx.Done():
			return fmt.Errorf("wait for containerd's CRI: %w; its log ends with\n%s", err, c.Process.Tail(15))
		}
	}
}

// ready says what is still missing: CRI's runtime, or the NRI socket.
func (c *Containerd) ready(ctx context.Context) error {
	status, err := c.CRI.Runtime.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return err
	}
	for _, condition := range status.GetStatus().GetConditions() {
		if condition.GetType() == runtimeapi.RuntimeReady && !condition.GetStatus() {
			return fmt.Errorf("runtime not ready: %s", condition.GetMessage())
		}
	}
	if _, err = os.Stat(c.NRISocket); c.anyNRI {
		return nil
	}
	return err
}

// Via is a client whose every call goes through another socket, such as a
// proxy's, to pods and images of this containerd.
func (c *Containerd) Via(socket string) (*CRI, error) { return c.dial(socket, socket) }

// ImagesVia is a client whose image calls alone go through another socket: the
// kubelet's imageServiceEndpoint.
func (c *Containerd) ImagesVia(socket string) (*CRI, error) { return c.dial(c.Socket, socket) }

func (c *Containerd) dial(runtime, image string) (*CRI, error) {
	client, err := dialCRI(runtime, image)
	if err != nil {
		return nil, err
	}
	client.LogDir = filepath.Join(c.Dir, "pods")
	// A cgroup of our own name, which Stop can tell from all others.
	client.CgroupParent = "/" + filepath.Base(c.Dir)
	return client, nil
}

// WriteHosts writes certs.d/HOST/hosts.toml, read by containerd at the next pull.
func (c *Containerd) WriteHosts(host, text string) error {
	dir := filepath.Join(c.CertsDir, host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write hosts.toml for %s: %w", host, err)
	}
	return os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600)
}

// Kill ends containerd with SIGKILL. Its shims and containers live on.
func (c *Containerd) Kill() error { return c.Process.Kill() }

// Restart stops containerd if it runs and starts it again.
func (c *Containerd) Restart(ctx context.Context) error {
	if err := c.Process.Stop(10 * time.Second); err != nil {
		return err
	}
	return c.Start(ctx)
}

// Stop removes all pods, stops containerd, ends what is left of shims and
// containers, and removes the folder. It is an error if anything remains. A
// second Stop does nothing.
func (c *Containerd) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *Containerd) stop() error {
	var errs []error
	if c.CRI != nil {
		if c.Process.Running() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			errs = append(errs, c.CRI.CleanupPods(ctx))
			cancel()
		}
		errs = append(errs, c.CRI.Close())
	}
	errs = append(errs, c.Process.Stop(10*time.Second))
	if c.pause != nil {
		errs = append(errs, c.pause.Close())
	}
	return errors.Join(append(errs, c.work.remove())...)
}
