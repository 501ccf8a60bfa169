package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CRIOVariable names the program crio of this machine, which is no peer: it needs
// libraries of the machine.
const CRIOVariable = "IMAGEFIT_CRIO"

// crioText is CRI-O's configuration, with every path in the work folder. Pods use the
// host's network and no infra container.
const crioText = `[crio]
root = "%[1]s/root"
runroot = "%[1]s/run"
storage_driver = "%[2]s"
log_dir = "%[1]s/logs"
version_file = "%[1]s/version"
version_file_persist = ""
clean_shutdown_file = "%[1]s/clean"
[crio.api]
listen = "%[1]s/crio.sock"
stream_address = "127.0.0.1"
stream_port = "0"
[crio.runtime]
default_runtime = "runc"
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
pinns_path = "%[3]s"
container_exits_dir = "%[1]s/exits"
container_attach_socket_dir = "%[1]s/attach"
namespaces_dir = "%[1]s/ns"
hooks_dir = []
[crio.runtime.runtimes.runc]
runtime_path = "%[4]s"
runtime_root = "%[1]s/runc"
monitor_path = "%[5]s"
[crio.image]
pause_image = "%[6]s"
signature_policy = "%[1]s/policy.json"
signature_policy_dir = "%[1]s/policies"
%[7]s
[crio.network]
network_dir = "%[1]s/cni"
plugin_dirs = ["%[1]s/cni"]
[crio.nri]
enable_nri = true
nri_listen = "%[1]s/nri.sock"
nri_plugin_dir = "%[1]s/nri-plugins"
nri_plugin_config_dir = "%[1]s/nri-conf"
`

// CRIOOptions are what a test adds to the configuration of CRI-O.
type CRIOOptions struct {
	// Image are keys of the table crio.image.
	Image string
	// Registries is registries.conf; empty allows plain HTTP for the registry that the
	// pause image is in.
	Registries string
	// Insecure are the registries that speak plain HTTP.
	Insecure []string
}

// CRIO is a real CRI-O in a folder of its own.
type CRIO struct {
	Dir        string
	Socket     string
	NRISocket  string
	Registries string // registries.conf
	Policy     string // policy.json
	PauseImage string
	CRI        *CRI
	Process    *Process

	work  *workDir
	pause *Registry
}

// StartCRIO starts the CRI-O of this machine and returns when its CRI answers.
func StartCRIO(ctx context.Context, opts CRIOOptions) (*CRIO, error) {
	program := os.Getenv(CRIOVariable)
	if program == "" {
		return nil, errors.New("start CRI-O: set " + CRIOVariable)
	}
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	c := &CRIO{
		Dir: work.path, work: work,
		Socket: filepath.Join(work.path, "crio.sock"), NRISocket: filepath.Join(work.path, "nri.sock"),
		Registries: filepath.Join(work.path, "registries.conf"), Policy: filepath.Join(work.path, "policy.json"),
	}
	c.Process = &Process{
		Path: program, Log: filepath.Join(work.path, "crio.log"),
		Args: []string{
			"--config", filepath.Join(work.path, "crio.conf"), "--config-dir", filepath.Join(work.path, "crio.conf.d"),
			"--registries-conf", c.Registries, "--registries-conf-dir", filepath.Join(work.path, "registries.conf.d"),
		},
	}
	if err := c.prepare(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start CRI-O: %w; its log ends with\n%s", err, c.Process.Tail(15)), c.Stop())
	}
	return c, nil
}

func (c *CRIO) prepare(ctx context.Context, opts CRIOOptions) error {
	bin, err := Peers(ctx)
	if err != nil {
		return err
	}
	if c.pause, err = NewRegistry(); err != nil {
		return err
	}
	repo := c.pause.Repo("pause")
	if _, err := repo.PushImage(ctx, "test", Image{Variant: "pause"}); err != nil {
		return err
	}
	c.PauseImage = repo.Ref("test")
	for _, name := range []string{"crio.conf.d", "registries.conf.d", "policies", "cni", "nri-plugins", "nri-conf", "pods"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, name), 0o700); err != nil {
			return err
		}
	}
	conmon, err := exec.LookPath("conmon")
	if err != nil {
		return err
	}
	pinns := filepath.Join(filepath.Dir(c.Process.Path), "pinns")
	if _, err := os.Stat(pinns); err != nil {
		if pinns, err = exec.LookPath("pinns"); err != nil {
			return err
		}
	}
	storage := "overlay"
	if snapshots, err := snapshotter(c.Dir); err != nil || snapshots != "overlayfs" {
		storage = "vfs"
	}
	if opts.Registries == "" {
		for _, host := range append(opts.Insecure, c.pause.Host) {
			opts.Registries += fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", host)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(c.Dir, "crio.conf"): fmt.Sprintf(crioText, c.Dir, storage, pinns, filepath.Join(bin, "runc"), conmon, c.PauseImage, opts.Image),
		c.Registries:                      opts.Registries,
		c.Policy:                          `{"default": [{"type": "insecureAcceptAnything"}]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if c.CRI, err = c.dial(c.Socket, c.Socket); err != nil {
		return err
	}
	return c.Start(ctx)
}

func (c *CRIO) dial(runtime, image string) (*CRI, error) {
	client, err := dialCRI(runtime, image)
	if err != nil {
		return nil, err
	}
	client.LogDir = filepath.Join(c.Dir, "pods")
	client.CgroupParent = "/" + filepath.Base(c.Dir)
	return client, nil
}

// ImagesVia is a client whose image calls alone go through another socket.
func (c *CRIO) ImagesVia(socket string) (*CRI, error) { return c.dial(c.Socket, socket) }

// Via is a client whose every call goes through another socket.
func (c *CRIO) Via(socket string) (*CRI, error) { return c.dial(socket, socket) }

// Start starts a stopped CRI-O again and waits until its CRI answers.
func (c *CRIO) Start(ctx context.Context) error {
	if err := c.Process.Start(); err != nil {
		return err
	}
	return c.Process.await(ctx, func() bool {
		_, err := c.CRI.Runtime.Version(ctx, &runtimeapi.VersionRequest{})
		return err == nil
	})
}

// Restart stops CRI-O if it runs and starts it again.
func (c *CRIO) Restart(ctx context.Context) error {
	if err := c.Process.Stop(10 * time.Second); err != nil {
		return err
	}
	return c.Start(ctx)
}

// NewImagefit writes the configuration of an imagefit in front of the CRI-O.
func (c *CRIO) NewImagefit(ctx context.Context, s Settings) (*Imagefit, error) {
	return newImagefit(ctx, node{dir: c.Dir, socket: c.Socket, nri: c.NRISocket, env: []string{"CONTAINERS_REGISTRIES_CONF=" + c.Registries}}, s)
}

// Stop removes all pods, stops CRI-O and removes the folder. It is an error if anything
// remains.
func (c *CRIO) Stop() error {
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
