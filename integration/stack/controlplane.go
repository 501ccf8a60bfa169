package stack

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ControlPlane is a real etcd, kube-apiserver and kube-scheduler on the loopback
// interface, with RBAC. It has no nodes but those that a test creates, and no
// kube-controller-manager: node objects stay as they were created.
type ControlPlane struct {
	// Dir holds everything of this control plane; programs under test may put their
	// files here.
	Dir string
	// URL is where the API server serves HTTPS.
	URL string
	// Admin is a token of system:masters.
	Admin string
	// Etcd, APIServer and Scheduler are the daemons; for Tail, Pid and the like.
	Etcd, APIServer, Scheduler *Process

	work   *workDir
	client *http.Client
}

// schedulerToken is the token of the user system:kube-scheduler, to whom the API
// server's own bootstrap gives what a scheduler needs.
const schedulerToken = "scheduler"

// StartControlPlane starts a control plane and returns when the API server is ready
// and the scheduler runs. The caller ends it with Stop.
func StartControlPlane(ctx context.Context) (*ControlPlane, error) {
	bin, err := Peers(ctx, "cluster")
	if err != nil {
		return nil, err
	}
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{
		Dir: work.path, Admin: "admin", work: work,
		client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // its certificate is not yet written
		}},
	}
	if err := errors.Join(c.files(), c.programs(bin)); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start control plane: %w", err), c.Stop())
	}
	return c, nil
}

// files writes the key of service account tokens and the tokens of users.
func (c *ControlPlane) files() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	tokens := c.Admin + ",admin,admin,\"system:masters\"\n" + schedulerToken + ",system:kube-scheduler,scheduler\n"
	return errors.Join(
		os.WriteFile(filepath.Join(c.Dir, "sa.key"), block, 0o600),
		os.WriteFile(filepath.Join(c.Dir, "tokens.csv"), []byte(tokens), 0o600),
	)
}

func (c *ControlPlane) programs(bin string) error {
	var ports [3]int
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return err
		}
		ports[i] = port
	}
	etcd := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	c.URL = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	program := func(name string, args ...string) *Process {
		return &Process{Path: filepath.Join(bin, name), Args: args, Log: filepath.Join(c.Dir, name+".log")}
	}
	key := filepath.Join(c.Dir, "sa.key")
	c.Etcd = program("etcd", "--data-dir", filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	c.APIServer = program("kube-apiserver", "--etcd-servers", etcd,
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(ports[2]), "--cert-dir", filepath.Join(c.Dir, "pki"),
		"--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none",
		"--authorization-mode", "RBAC", "--token-auth-file", filepath.Join(c.Dir, "tokens.csv"),
		// Nothing here creates the service account "default" of a namespace, or removes the
		// taint of a new node.
		"--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key, "--service-account-signing-key-file", key)
	config, err := c.Kubeconfig("scheduler", schedulerToken)
	if err != nil {
		return err
	}
	// As fast as the API server lets it be: what is measured is not its own limit.
	settings := filepath.Join(c.Dir, "scheduler.yaml")
	c.Scheduler = program("kube-scheduler", "--config", settings, "--secure-port", "0")
	return os.WriteFile(settings, fmt.Appendf(nil, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %q, qps: 1000, burst: 2000}
`, config), 0o600)
}

func (c *ControlPlane) start(ctx context.Context) error {
	if err := c.Etcd.Start(); err != nil {
		return err
	}
	if err := c.APIServer.Start(); err != nil {
		return err
	}
	if err := c.APIServer.await(ctx, func() bool { return c.ready(ctx) }); err != nil {
		return err
	}
	return c.Scheduler.Start()
}

// ready reports whether the API server has finished its start, bootstrap roles
// included.
func (c *ControlPlane) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+c.Admin)
	reply, err := c.client.Do(req)
	if err != nil {
		return false
	}
	defer reply.Body.Close()
	_, _ = io.Copy(io.Discard, reply.Body)
	return reply.StatusCode == http.StatusOK
}

// Kubeconfig writes a kubeconfig with a user's token and returns its path.
func (c *ControlPlane) Kubeconfig(name, token string) (string, error) {
	path := filepath.Join(c.Dir, name+".kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: %q}}]
`, c.URL, token)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// Memory is the resident memory of each daemon in bytes, by name.
func (c *ControlPlane) Memory() map[string]int64 {
	used := map[string]int64{}
	for _, p := range []*Process{c.Etcd, c.APIServer, c.Scheduler} {
		used[filepath.Base(p.Path)] = p.Memory()
	}
	return used
}

// Memory is the resident memory of the process in bytes, 0 where it does not run.
func (p *Process) Memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Pid()))
	var total, resident int64
	if _, scanErr := fmt.Fscan(strings.NewReader(string(text)), &total, &resident); err != nil || scanErr != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// Stop ends all of it and removes its folder.
func (c *ControlPlane) Stop() error {
	var errs []error
	// The API server waits a minute for its watchers to leave, and nothing here is kept.
	for _, p := range []*Process{c.Scheduler, c.APIServer, c.Etcd} {
		if p != nil {
			errs = append(errs, p.Kill())
		}
	}
	return errors.Join(append(errs, c.work.remove())...)
}
