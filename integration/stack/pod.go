package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PodOptions describe a pod of one container. The zero value is a pod in the
// namespace default that runs until it is stopped. Pods use the host's network,
// so that no CNI plugin is needed.
type PodOptions struct {
	Namespace   string
	Name        string
	Annotations map[string]string
	// ImageRef is what PullImage returned, which the kubelet creates the
	// container from. Empty: the id that ImageStatus gives now, as the kubelet
	// does for an image that is already there.
	ImageRef string
	// Args are the workload's, in place of the image's own (hold).
	Args []string
	// RuntimeHandler is what the pod's runtime class names, empty for the default.
	RuntimeHandler string
	// RunAsUser overrides the image's user.
	RunAsUser *int64
	// Mounts are the container's.
	Mounts []*runtimeapi.Mount
}

func (o PodOptions) withDefaults() PodOptions {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Name == "" {
		o.Name = "pod-" + strings.ToLower(rand.Text()[:8])
	}
	return o
}

func (c *CRI) sandboxConfig(o PodOptions) *runtimeapi.PodSandboxConfig {
	uid := o.Namespace + "_" + o.Name
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: o.Name, Namespace: o.Namespace, Uid: uid},
		Annotations:  o.Annotations,
		LogDirectory: filepath.Join(c.LogDir, uid),
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent:    c.CgroupParent,
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: hostNetwork()},
		},
	}
}

func hostNetwork() *runtimeapi.NamespaceOption {
	return &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE, Pid: runtimeapi.NamespaceMode_CONTAINER}
}

// RunContainer does what the kubelet does once it has the image: makes the pod,
// asks for the image's user, creates the container from the image's id with the
// pod's own spelling beside it, and starts it. Errors are the RPC's own.
func (c *CRI) RunContainer(ctx context.Context, ref string, opts PodOptions) (string, error) {
	opts = opts.withDefaults()
	sandbox := c.sandboxConfig(opts)
	if err := os.MkdirAll(filepath.Join(sandbox.LogDirectory, "main"), 0o755); err != nil {
		return "", fmt.Errorf("make the pod's log folder: %w", err)
	}
	pod, err := c.Runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: sandbox, RuntimeHandler: opts.RuntimeHandler})
	if err != nil {
		return "", err
	}
	id, err := c.startContainer(ctx, ref, opts, pod.GetPodSandboxId(), sandbox)
	if err != nil {
		// Not joined: callers compare the text that users would read.
		_ = c.removePod(ctx, pod.GetPodSandboxId())
		return "", err
	}
	return id, nil
}

func (c *CRI) startContainer(ctx context.Context, ref string, opts PodOptions, pod string, sandbox *runtimeapi.PodSandboxConfig) (string, error) {
	image, err := c.Status(ctx, ref)
	if err != nil && (!errors.Is(err, ErrNoImage) || opts.ImageRef == "") {
		return "", err
	}
	if opts.ImageRef == "" {
		opts.ImageRef = image.GetId()
	}
	created, err := c.Runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: pod,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "main"},
			Image:    &runtimeapi.ImageSpec{Image: opts.ImageRef, UserSpecifiedImage: ref},
			Args:     opts.Args,
			Mounts:   opts.Mounts,
			LogPath:  "main/0.log",
			Linux:    &runtimeapi.LinuxContainerConfig{SecurityContext: securityContext(image, opts)},
		},
		SandboxConfig: sandbox,
	})
	if err != nil {
		return "", err
	}
	_, err = c.Runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: created.GetContainerId()})
	return created.GetContainerId(), err
}

// securityContext says who the container runs as. The kubelet takes the user
// from ImageStatus, and root where the reference does not resolve; so do we.
func securityContext(image *runtimeapi.Image, opts PodOptions) *runtimeapi.LinuxContainerSecurityContext {
	security := &runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: hostNetwork()}
	switch {
	case opts.RunAsUser != nil:
		security.RunAsUser = &runtimeapi.Int64Value{Value: *opts.RunAsUser}
	case image.GetUid() != nil:
		security.RunAsUser = &runtimeapi.Int64Value{Value: image.GetUid().GetValue()}
	case image.GetUsername() != "":
		security.RunAsUsername = image.GetUsername()
	default:
		security.RunAsUser = &runtimeapi.Int64Value{Value: 0}
	}
	return security
}

// WaitOutput waits for a container's first whole line and returns all that it
// has written to stdout and stderr so far.
func (c *CRI) WaitOutput(ctx context.Context, container string) (string, error) {
	status, err := c.Runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: container})
	if err != nil {
		return "", err
	}
	path := status.GetStatus().GetLogPath()
	for {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read the container's log: %w", err)
		}
		if out := logLines(string(text)); out != "" {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for output of container %s: %w", container, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// logLines takes the text out of a CRI log, lines of "TIME STREAM TAG TEXT".
func logLines(log string) string {
	var out []string
	for line := range strings.Lines(log) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) == 4 && strings.HasSuffix(line, "\n") {
			out = append(out, fields[3])
		}
	}
	return strings.Join(out, "\n")
}

// CleanupPods stops and removes every pod of the runtime.
func (c *CRI) CleanupPods(ctx context.Context) error {
	return c.RemovePods(ctx, func(string) bool { return true })
}

// removePod stops and removes a pod as the kubelet does: each container before the pod. containerd
// blocks for good where a plugin of NRI registers while RemovePodSandbox removes containers.
func (c *CRI) removePod(ctx context.Context, id string) error {
	if _, err := c.Runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("stop pod %s: %w", id, err)
	}
	containers, err := c.Runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{PodSandboxId: id}})
	if err != nil {
		return fmt.Errorf("list the containers of pod %s: %w", id, err)
	}
	for _, container := range containers.GetContainers() {
		if _, err := c.Runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: container.GetId()}); err != nil {
			return fmt.Errorf("remove container %s: %w", container.GetId(), err)
		}
	}
	if _, err := c.Runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("remove pod %s: %w", id, err)
	}
	return nil
}

// RemovePods stops and removes the pods that a test picks by name.
func (c *CRI) RemovePods(ctx context.Context, picks func(name string) bool) error {
	pods, err := c.Runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	var errs []error
	for _, pod := range pods.GetItems() {
		if picks(pod.GetMetadata().GetName()) {
			errs = append(errs, c.removePod(ctx, pod.GetId()))
		}
	}
	return errors.Join(errs...)
}
