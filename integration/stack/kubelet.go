package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// KubeletOptions of a kubelet.
type KubeletOptions struct {
	// RuntimeEndpoint is the socket of all CRI calls. Empty: containerd's own.
	RuntimeEndpoint string
	// ImageEndpoint is the socket of the image calls. Empty: the runtime's.
	ImageEndpoint string
	// Config is put over what the stack sets in the kubelet's configuration.
	Config map[string]any
	// Logins are the node's credentials, by registry host.
	Logins map[string]Login
}

// Login is a user name and password.
type Login struct{ User, Password string }

// Kubelet is a real kubelet without an API server: it runs the pods that are put
// before it as files. All of it lies in the folder of its containerd.
type Kubelet struct {
	// Dir is the kubelet's --root-dir, with its records of pulled images.
	Dir string
	// Process is the daemon; for its Tail and Pid.
	Process *Process

	containerd *Containerd
	manifests  string
	port       int
	client     *http.Client
	before     machine
}

// nodeName is the kubelet's, and the end of the name of every static pod.
const nodeName = "node"

// StartKubelet starts a kubelet on the containerd and returns when it answers.
// Stop it before the containerd, whose Stop removes the pods.
func StartKubelet(ctx context.Context, c *Containerd, opts KubeletOptions) (*Kubelet, error) {
	k, err := NewKubelet(ctx, c, opts)
	if err != nil {
		return nil, err
	}
	if err := k.Start(ctx); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

// NewKubelet configures a kubelet that is not started: a service manager may do so.
func NewKubelet(ctx context.Context, c *Containerd, opts KubeletOptions) (*Kubelet, error) {
	if err := KubeletUsable(); err != nil {
		return nil, fmt.Errorf("start kubelet: %w", err)
	}
	bin, err := Peers(ctx, "kubelet")
	if err != nil {
		return nil, err
	}
	k := &Kubelet{
		Dir: filepath.Join(c.Dir, "kubelet"), containerd: c, manifests: filepath.Join(c.Dir, "manifests"),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second},
		before: lookAtMachine(),
	}
	k.Process = &Process{
		Path: filepath.Join(bin, "kubelet"),
		Args: []string{
			"--config", filepath.Join(c.Dir, "kubelet.json"), "--root-dir", k.Dir,
			"--cert-dir", filepath.Join(k.Dir, "pki"), "--hostname-override", nodeName,
		},
		Env: []string{"HOME=" + k.Dir}, // where it would find the user's credentials
		Log: filepath.Join(c.Dir, "kubelet.log"),
	}
	return k, k.Configure(opts)
}

// Configure rewrites the configuration, for the next start.
func (k *Kubelet) Configure(opts KubeletOptions) error {
	var err error
	if k.port, err = freePort(); err != nil {
		return err
	}
	config := k.config(opts)
	maps.Copy(config, opts.Config)
	for path, content := range map[string]any{
		filepath.Join(k.containerd.Dir, "kubelet.json"): config,
		filepath.Join(k.Dir, "config.json"):             dockerConfig(opts.Logins),
	} {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return fmt.Errorf("configure the kubelet: %w", err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, text, 0o600)); err != nil {
			return fmt.Errorf("configure the kubelet: %w", err)
		}
	}
	return errors.Join(os.MkdirAll(k.manifests, 0o700), makeCgroups(k.containerd.CRI.CgroupParent))
}

// config is what a kubelet needs to run here: without an API server, in a cgroup
// of our own, leaving the rest of the machine alone as far as it can be told to.
func (k *Kubelet) config(opts KubeletOptions) map[string]any {
	dir := k.containerd.Dir
	if opts.RuntimeEndpoint == "" {
		opts.RuntimeEndpoint = k.containerd.Socket
	}
	config := map[string]any{
		"apiVersion":                    "kubelet.config.k8s.io/v1beta1",
		"kind":                          "KubeletConfiguration",
		"staticPodPath":                 k.manifests,
		"fileCheckFrequency":            "1s",
		"syncFrequency":                 "1s",
		"containerRuntimeEndpoint":      "unix://" + opts.RuntimeEndpoint,
		"enableServer":                  false,
		"address":                       "127.0.0.1",
		"readOnlyPort":                  k.port,
		"healthzPort":                   0,
		"authentication":                map[string]any{"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false}},
		"authorization":                 map[string]any{"mode": "AlwaysAllow"},
		"cgroupDriver":                  "cgroupfs",
		"cgroupRoot":                    k.containerd.CRI.CgroupParent,
		"enforceNodeAllocatable":        []string{},
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"localStorageCapacityIsolation": false,
		"evictionHard":                  map[string]any{"nodefs.available": "1%"},
		"makeIPTablesUtilChains":        false,
		"registerNode":                  false,
		"resolvConf":                    "",
		"podLogsDir":                    filepath.Join(dir, "pods"),
		"volumePluginDir":               filepath.Join(dir, "volume-plugins"),
	}
	if opts.ImageEndpoint != "" {
		config["imageServiceEndpoint"] = "unix://" + opts.ImageEndpoint
	}
	return config
}

func dockerConfig(logins map[string]Login) map[string]any {
	auths := map[string]any{}
	for host, login := range logins {
		auths[host] = map[string]string{"username": login.User, "password": login.Password}
	}
	return map[string]any{"auths": auths}
}

// freePort is a port that is free at the moment.
func freePort() (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// Start starts a stopped kubelet again and waits until it answers. Running pods
// keep running.
func (k *Kubelet) Start(ctx context.Context) error {
	if err := k.Process.Start(); err != nil {
		return err
	}
	return k.Process.await(ctx, func() bool {
		_, err := k.Pods(ctx)
		return err == nil
	})
}

// Restart stops the kubelet and starts it again.
func (k *Kubelet) Restart(ctx context.Context) error {
	if err := k.Process.Stop(10 * time.Second); err != nil {
		return err
	}
	return k.Start(ctx)
}

// Stop ends the kubelet and sets back what it changed of the machine. Its pods
// live on until the containerd's Stop.
func (k *Kubelet) Stop() error {
	errs := []error{k.Process.Stop(10 * time.Second)}
	for _, link := range logLinks(k.containerd.Dir) {
		errs = append(errs, os.Remove(link))
	}
	return errors.Join(append(errs, k.before.restore())...)
}

// get asks the kubelet's read-only server.
func (k *Kubelet) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", k.port, path), nil)
	if err != nil {
		return err
	}
	reply, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the kubelet: %w", err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the kubelet for %s: %s %q, %w", path, reply.Status, body, err)
	}
	return json.Unmarshal(body, into)
}
