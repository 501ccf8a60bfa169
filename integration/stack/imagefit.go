package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Settings are what a test adds to imagefit's configuration: lines of TOML for
// each table.
type Settings struct {
	Proxy, Registry, Cache, Facts, NRI, Policy string
	// Runtime is the runtime's socket, where it is not containerd's own.
	Runtime string
	// Images is the socket of another image service in front of the runtime, if there is one.
	Images string
}

// Imagefit is cri-proxy and nri-plugin, the built programs themselves, beside
// one containerd. Neither runs before it is started.
type Imagefit struct {
	Config   string // the file that both read
	Socket   string // cri-proxy's
	HTTP     string // cri-proxy's socket for /metrics and the like
	StateDir string
	Proxy    *Process
	Plugin   *Process
}

// NewImagefit writes the configuration of an imagefit in front of the
// containerd. Stop it before the containerd, whose folder it lives in.
func (c *Containerd) NewImagefit(ctx context.Context, s Settings) (*Imagefit, error) {
	return newImagefit(ctx, c.node(), s)
}

func (c *Containerd) node() node { return node{dir: c.Dir, socket: c.Socket, nri: c.NRISocket} }

// node is where a runtime has its folder and sockets, with the environment of imagefit.
type node struct {
	dir, socket, nri string
	env              []string
}

func newImagefit(ctx context.Context, n node, s Settings) (*Imagefit, error) {
	bin, err := Binaries(ctx, filepath.Join(n.dir, "bin"))
	if err != nil {
		return nil, err
	}
	f := &Imagefit{
		Config:   filepath.Join(n.dir, "imagefit.toml"),
		Socket:   filepath.Join(n.dir, "proxy.sock"),
		HTTP:     filepath.Join(n.dir, "proxy-http.sock"),
		StateDir: filepath.Join(n.dir, "imagefit"),
	}
	program := func(name string) *Process {
		return &Process{
			Path: filepath.Join(bin, name), Args: []string{"--config", f.Config},
			Log: filepath.Join(n.dir, name+".log"),
		}
	}
	f.Proxy, f.Plugin = program("cri-proxy"), program("nri-plugin")
	f.Proxy.Env, f.Plugin.Env = n.env, n.env
	return f, n.configure(f, s)
}

// Configure rewrites the configuration, for the next start.
func (c *Containerd) Configure(f *Imagefit, s Settings) error { return c.node().configure(f, s) }

func (n node) configure(f *Imagefit, s Settings) error {
	if s.Runtime == "" {
		s.Runtime = n.socket
	}
	images := ""
	if s.Images != "" {
		images = fmt.Sprintf("image_endpoint = %q", "unix://"+s.Images)
	}
	text := fmt.Sprintf(`version = 1
state_dir = %q
log_level = "debug"
log_format = "text"
[runtime]
endpoint = "unix://%s"
%s
config = %q
[proxy]
listen = "unix://%s"
http_listen = "unix://%s"
%s
[registry]
%s
[cache]
%s
[facts]
%s
[nri]
socket = %q
http_listen = "unix://%s"
%s
[policy]
%s
`, f.StateDir, s.Runtime, images, filepath.Join(n.dir, "config.toml"), f.Socket, f.HTTP, s.Proxy, s.Registry, s.Cache, s.Facts,
		n.nri, filepath.Join(n.dir, "plugin-http.sock"), s.NRI, s.Policy)
	return os.WriteFile(f.Config, []byte(text), 0o600)
}

// StartProxy starts cri-proxy and returns when it takes connections.
func (f *Imagefit) StartProxy(ctx context.Context) error {
	if err := f.Proxy.Start(); err != nil {
		return err
	}
	return f.Proxy.await(ctx, func() bool {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", f.Socket)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// StartPlugin starts nri-plugin and returns when the runtime has taken it in.
func (f *Imagefit) StartPlugin(ctx context.Context) error {
	before := f.PluginSessions()
	if err := f.Plugin.Start(); err != nil {
		return err
	}
	return f.AwaitPlugin(ctx, before)
}

// PluginSessions counts how often the runtime has taken the plugin in.
func (f *Imagefit) PluginSessions() int {
	text, err := os.ReadFile(f.Plugin.Log)
	if err != nil {
		return 0 // not started yet
	}
	return strings.Count(string(text), `msg="connected to the runtime"`)
}

// AwaitPlugin waits until there were more sessions than before.
func (f *Imagefit) AwaitPlugin(ctx context.Context, before int) error {
	return f.Plugin.await(ctx, func() bool { return f.PluginSessions() > before })
}

// Stop ends both as their service manager would.
func (f *Imagefit) Stop() error {
	return errors.Join(f.Plugin.Stop(10*time.Second), f.Proxy.Stop(10*time.Second))
}

// await polls until ready, the process's end, or two minutes: a busy machine needs long for
// what takes an instant else.
func (p *Process) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for !ready() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.Exited():
			return fmt.Errorf("%s ended as it started; its log ends with\n%s", p.Path, p.Tail(15))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; its log ends with\n%s", p.Path, ctx.Err(), p.Tail(15))
		}
	}
	return nil
}

// Binaries returns the folder of cri-proxy, nri-plugin and imagefit: what
// IMAGEFIT_BIN names, else they are built into dir.
func Binaries(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("IMAGEFIT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	module, err := moduleDir()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "./cmd/...")
	cmd.Dir = filepath.Dir(module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build imagefit: %w\n%s", err, out)
	}
	return dir, nil
}
