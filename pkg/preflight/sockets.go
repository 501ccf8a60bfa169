package preflight

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// answerTime is how long a socket may take to answer.
const answerTime = 3 * time.Second

// knownSockets are where runtimes listen.
func knownSockets() []string {
	return []string{
		"/run/containerd/containerd.sock",
		"/run/k3s/containerd/containerd.sock", // k3s and RKE2
		"/run/k0s/containerd.sock",
		"/var/snap/microk8s/common/run/containerd.sock",
		"/run/crio/crio.sock",
		"/run/cri-dockerd.sock",
	}
}

func (n *Node) checkRuntime(ctx context.Context) {
	const check = "runtime"
	n.runtime, _ = containerd.Read(n.path(n.Config.Runtime.Config))
	endpoint := n.Config.Runtime.Endpoint
	socket := socketOf(endpoint)
	backend, err := cri.NewBackend(endpoint)
	if err != nil {
		n.problem(check, "set runtime.endpoint to the runtime's socket", "%v", err)
		return
	}
	defer func() { _ = backend.Close() }()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	report, err := containerd.Query(ctx, backend)
	if err == nil {
		n.answered = true
		if settings, err := n.runtime.With(report); err == nil {
			n.runtime = settings
		}
		n.ok(check, "%s %s answers at %s", report.Name, report.Version, endpoint)
		return
	}
	fix := "start the runtime, or set runtime.endpoint to its socket"
	if _, statErr := os.Stat(socket); errors.Is(statErr, fs.ErrNotExist) {
		others := slices.DeleteFunc(knownSockets(), func(known string) bool {
			_, err := os.Stat(n.path(known))
			return err != nil || known == socket
		})
		if len(others) > 0 {
			fix = "set runtime.endpoint to unix://" + strings.Join(others, " or unix://")
		}
		n.problem(check, fix, "there is no socket %s (runtime.endpoint)", socket)
		return
	}
	n.problem(check, fix, "%s", withoutPrefix(err))
}

func (n *Node) checkImageEndpoint(ctx context.Context) {
	const check = "image service"
	endpoint := n.Config.Runtime.ImageEndpoint
	if endpoint == "" || endpoint == n.Config.Runtime.Endpoint {
		return
	}
	backend, err := cri.NewSplitBackend(n.Config.Runtime.Endpoint, endpoint)
	if err != nil {
		n.problem(check, "correct runtime.image_endpoint", "%v", err)
		return
	}
	defer func() { _ = backend.Close() }()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := runtimeapi.NewImageServiceClient(backend).ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{}); err != nil {
		n.problem(check, `start it, or set runtime.image_endpoint = "" to use the runtime itself`, "%s", withoutPrefix(err))
		return
	}
	n.ok(check, "it answers at %s", endpoint)
}

func (n *Node) checkProxy(ctx context.Context) {
	const check = "cri-proxy"
	listen := n.Config.Proxy.Listen
	socket := socketOf(listen)
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		n.problem(check, "start it: systemctl enable --now cri-proxy.socket cri-proxy.service", "there is no socket %s (proxy.listen)", socket)
		return
	}
	backend, err := cri.NewBackend(listen)
	if err != nil {
		n.problem(check, "correct proxy.listen", "%v", err)
		return
	}
	defer func() { _ = backend.Close() }()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	reply, err := runtimeapi.NewRuntimeServiceClient(backend).Version(ctx, &runtimeapi.VersionRequest{})
	switch {
	case err == nil:
		n.ok(check, "it serves %s %s at %s", reply.GetRuntimeName(), reply.GetRuntimeVersion(), listen)
	case n.answered:
		n.problem(check, "see its log: journalctl -u cri-proxy", "no answer through %s: %s", listen, withoutPrefix(err))
	default:
		n.unknown(check, "start the runtime", "no answer through %s while the runtime does not answer", listen)
	}
}

// withoutPrefix is the message of a status.
func withoutPrefix(err error) string {
	return strings.TrimPrefix(status.Convert(err).Message(), "imagefit: ")
}

// socketOf is the path of an endpoint.
func socketOf(endpoint string) string {
	path, err := unixsocket.ParseEndpoint(endpoint)
	if err != nil {
		return endpoint
	}
	return path
}

// path is where a file of the node is.
func (n *Node) path(path string) string { return filepath.Join(n.Root, path) }

// Peer asks the kernel which process listens on a unix socket.
func Peer(socket string) int {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	return unixsocket.PeerPID(conn)
}
