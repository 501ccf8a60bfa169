package preflight

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// containerdPID is the runtime's in the /proc of the tests.
const containerdPID = 10

// node is a node on which all is well; a test spoils one thing.
type node struct {
	Node

	t    *testing.T
	sock string // the directory of the sockets
}

func newNode(t *testing.T, version string) *node {
	t.Helper()
	sock, err := os.MkdirTemp("", "preflight") //nolint:usetesting // short, as a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sock) })
	n := &node{t: t, sock: sock, Node: Node{Root: t.TempDir(), Config: config.Default(), Peer: func(string) int { return containerdPID }}}
	n.Config.Runtime.Endpoint = "unix://" + sock + "/containerd.sock"
	n.Config.Proxy.Listen = "unix://" + sock + "/proxy.sock"
	if version != "" {
		server := grpc.NewServer()
		runtimeapi.RegisterRuntimeServiceServer(server, answering{version: version})
		critest.Serve(t, sock+"/containerd.sock", server)
	}
	n.serveProxy()
	n.put("/var/run/nri/nri.sock", "")
	n.put("/etc/containerd/certs.d/_default/hosts.toml", "[host.\"https://mirror.example\"]\ncapabilities = [\"pull\", \"resolve\"]\n")
	n.put("/var/lib/imagefit/config/x", "")
	n.run(containerdPID, "containerd", "HTTPS_PROXY=http://user:hunter2@proxy:3128\x00no_proxy=10.0.0.0/8\x00", "/usr/bin/containerd")
	n.run(20, "cri-proxy", "https_proxy=http://user:hunter2@proxy:3128\x00NO_PROXY=10.0.0.0/8\x00", "/usr/local/bin/cri-proxy")
	n.run(21, "nri-plugin", "HTTPS_PROXY=http://user:hunter2@proxy:3128\x00NO_PROXY=10.0.0.0/8\x00", "/usr/local/bin/nri-plugin")
	n.run(30, "kubelet", "", "/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml")
	n.put("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nimageServiceEndpoint: "+n.Config.Proxy.Listen+"\n")
	n.listen(9460, 100, 20)
	n.listen(9461, 101, 21)
	return n
}

// answering is a containerd.
type answering struct {
	runtimeapi.UnimplementedRuntimeServiceServer

	version string
}

func (a answering) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "containerd", RuntimeVersion: a.version}, nil
}

func (answering) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{}, nil
}

func (n *node) serveProxy() {
	n.t.Helper()
	backend, err := cri.NewBackend(n.Config.Runtime.Endpoint)
	if err != nil {
		n.t.Fatal(err)
	}
	listener, err := unixsocket.Listen(n.sock + "/proxy.sock")
	if err != nil {
		n.t.Fatal(err)
	}
	server := criproxy.New(criproxy.Options{Backend: backend, Log: slog.New(slog.DiscardHandler)})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		if err := <-done; err != nil {
			n.t.Error(err)
		}
		_ = backend.Close()
	})
}

func (n *node) put(path, text string) {
	n.t.Helper()
	path = filepath.Join(n.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) remove(path string) {
	n.t.Helper()
	if err := os.RemoveAll(filepath.Join(n.Root, path)); err != nil {
		n.t.Fatal(err)
	}
}

// run puts a process into /proc.
func (n *node) run(pid int, comm, environ string, args ...string) {
	n.t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	n.put(dir+"/comm", comm+"\n")
	n.put(dir+"/cmdline", strings.Join(args, "\x00")+"\x00")
	n.put(dir+"/environ", environ)
}

// listen has a process listen on a TCP port.
func (n *node) listen(port, inode, pid int) {
	n.t.Helper()
	table := filepath.Join(n.Root, "/proc/net/tcp")
	text, _ := os.ReadFile(table)
	row := "   0: 0100007F:" + strings.ToUpper(strconv.FormatInt(int64(port), 16)) + " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 " + strconv.Itoa(inode) + " 1\n"
	n.put("/proc/net/tcp", string(text)+row)
	fd := filepath.Join(n.Root, "/proc", strconv.Itoa(pid), "fd")
	if err := os.MkdirAll(fd, 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Symlink("socket:["+strconv.Itoa(inode)+"]", filepath.Join(fd, strconv.Itoa(port))); err != nil {
		n.t.Fatal(err)
	}
}

// wrong are the findings that are not ok, as one text.
func (n *node) wrong() string {
	var b strings.Builder
	for _, f := range n.Run(n.t.Context()) {
		if f.State != OK {
			b.WriteString(string(f.State) + " " + f.Check + ": " + f.Text + " -> " + f.Fix + "\n")
		}
	}
	return strings.ReplaceAll(b.String(), n.sock, "SOCK")
}

func TestNothingIsWrongOnANodeThatIsSetUp(t *testing.T) {
	t.Parallel()
	n := newNode(t, "2.4.2")
	if got := n.wrong(); got != "" || len(n.findings) < 9 {
		t.Errorf("found %s in %v", got, n.findings)
	}
}

func TestWhatIsWrongIsSaidWithWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version string
		spoil   func(n *node)
		want    string
	}{
		"no runtime, another one": {"", func(n *node) { n.put("/run/k3s/containerd/containerd.sock", "") },
			"problem runtime: there is no socket SOCK/containerd.sock (runtime.endpoint) -> set runtime.endpoint to unix:///run/k3s/containerd/containerd.sock\n" +
				"unknown cri-proxy: no answer through unix://SOCK/proxy.sock while the runtime does not answer -> start the runtime\n"},
		"no proxy": {"2.4.2", func(n *node) { n.Config.Proxy.Listen = "unix://" + n.sock + "/none.sock" },
			"problem cri-proxy: there is no socket SOCK/none.sock (proxy.listen) -> start it: systemctl enable --now cri-proxy.socket cri-proxy.service\n" +
				"problem kubelet: it pulls past cri-proxy: its image endpoint is unix://SOCK/proxy.sock -> " +
				"set imageServiceEndpoint: unix://SOCK/none.sock in /var/lib/kubelet/config.yaml and restart it\n"},
		"an image service that is not there": {"2.4.2", func(n *node) { n.Config.Runtime.ImageEndpoint = "unix://" + n.sock + "/soci.sock" },
			"problem image service: the image service at unix://SOCK/soci.sock is not answering: "},
		"the kubelet's line": {"2.4.2", func(n *node) { n.put("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n") },
			"problem kubelet: it pulls past cri-proxy: its image endpoint is the default -> " +
				"set imageServiceEndpoint: unix://SOCK/proxy.sock in /var/lib/kubelet/config.yaml and restart it\n"},
		"the kubelet's flag": {"2.4.2", func(n *node) {
			n.run(30, "kubelet", "", "kubelet", "--config", "/var/lib/kubelet/config.yaml", "--image-service-endpoint", "/run/other.sock")
		}, "problem kubelet: it pulls past cri-proxy: its image endpoint is /run/other.sock -> "},
		"the kubelet's drop-in": {"2.4.2", func(n *node) {
			n.run(30, "kubelet", "", "kubelet", "--config=/var/lib/kubelet/config.yaml", "--config-dir=/etc/kubelet.d")
			n.put("/etc/kubelet.d/10-x.conf", "imageServiceEndpoint: unix:///run/drop-in.sock\n")
		}, "problem kubelet: it pulls past cri-proxy: its image endpoint is unix:///run/drop-in.sock -> "},
		"k3s": {"2.4.2", func(n *node) {
			n.remove("/proc/30")
			n.run(31, "k3s-server", "", "/usr/local/bin/k3s", "server")
		}, `problem kubelet: it pulls past cri-proxy: its image endpoint is the default -> set kubelet-arg: ["image-service-endpoint=unix://SOCK/proxy.sock"] in /etc/rancher/k3s/config.yaml`},
		"no kubelet": {"2.4.2", func(n *node) { n.remove("/proc/30") }, "unknown kubelet: none runs here -> start it; other clients of the runtime use unix://SOCK/proxy.sock where they choose to\n"},
		"NRI off in 1.7": {"1.7.35", func(n *node) { n.remove("/var/run/nri") },
			`problem nri: NRI is off in containerd, so that nri-plugin checks nothing -> set disable = false in [plugins."io.containerd.nri.v1.nri"] of /etc/containerd/config.toml and restart containerd`},
		"NRI off in 2": {"2.4.2", func(n *node) {
			n.remove("/var/run/nri")
			n.put("/etc/containerd/config.toml", "version = 3\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n")
		}, "problem nri: NRI is off in containerd"},
		"NRI elsewhere": {"2.4.2", func(n *node) {
			n.remove("/var/run/nri")
			n.put("/etc/containerd/config.toml", "version = 3\n[plugins.'io.containerd.nri.v1.nri']\nsocket_path = \"/run/nri2.sock\"\n")
		}, "problem nri: there is no socket /var/run/nri/nri.sock; containerd's is /run/nri2.sock -> set nri.socket = /run/nri2.sock\n"},
		"hosts directory": {"2.4.2", func(n *node) { n.Config.Registry.ConfigPath = "/etc/certs.d" },
			"problem registries: there is no directory /etc/certs.d (registry.config_path) -> "},
		"referrers for 1.7": {"1.7.35", func(n *node) {
			n.Config.Registry.ConfigPath = "/etc/containerd/certs.d"
			n.put("/etc/containerd/certs.d/docker.io/hosts.toml", "[host.\"https://m\"]\ncapabilities = [\"pull\", \"referrers\"]\n")
		}, `problem registries: /etc/containerd/certs.d/docker.io/hosts.toml has "referrers" in capabilities: containerd 1.7.35 ignores the whole file`},
		"HTTP proxy of the runtime alone": {"2.4.2", func(n *node) { n.run(20, "cri-proxy", "PATH=/bin\x00", "cri-proxy") },
			"problem http proxy: HTTPS_PROXY, NO_PROXY of cri-proxy (pid 20) is not as the runtime's -> write the lines of the runtime's unit into /etc/default/imagefit and restart cri-proxy\n"},
		"not root": {"2.4.2", func(n *node) { n.run(containerdPID, "containerd", "", "containerd") },
			"unknown http proxy: cannot read the environment of the runtime (pid 10) -> run this as root\n"},
		"a port in use": {"2.4.2", func(n *node) {
			n.remove("/proc/21/fd")
			n.run(77, "prometheus", "", "prometheus")
			n.listen(9461, 102, 77)
		}, "problem port: 127.0.0.1:9461 of nri-plugin is in use by prometheus (pid 77) -> stop that program or change nri.http_listen\n"},
		"two plugins": {"2.4.2", func(n *node) {
			n.run(22, "nri-plugin", "HTTPS_PROXY=http://user:hunter2@proxy:3128\x00NO_PROXY=10.0.0.0/8\x00", "nri-plugin")
		},
			"problem nri-plugin: 2 of them run: nri-plugin (pid 21) and nri-plugin (pid 22) -> "},
		"state is a file": {"2.4.2", func(n *node) {
			n.remove("/var/lib/imagefit")
			n.put("/var/lib/imagefit", "")
		}, "problem state: /var/lib/imagefit is not a directory -> "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, test.version)
			test.spoil(n)
			got := n.wrong()
			if !strings.HasPrefix(got, test.want) || strings.Contains(got, "hunter2") || strings.Count(got, "\n") != max(1, strings.Count(test.want, "\n")) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestListeningProcessesAreFoundOnThisMachine by the real /proc.
func TestListeningProcessesAreFoundOnThisMachine(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	n := Node{Root: "/"}
	if p := n.listener(port); p == nil || p.pid != os.Getpid() || p.comm == "" {
		t.Errorf("on port %s: %+v", port, p)
	}
	socket := critest.Socket(t)
	critest.Start(t, socket, &critest.Runtime{})
	if pid := Peer(socket); pid != os.Getpid() {
		t.Errorf("the peer is %d", pid)
	}
	if pid := Peer(socket + "x"); pid != 0 {
		t.Errorf("the peer of no socket is %d", pid)
	}
}
