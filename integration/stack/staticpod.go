package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// StaticPod is a pod of one container that a kubelet reads from a file.
type StaticPod struct {
	Name         string
	Namespace    string // empty: default
	Image        string
	PullPolicy   string // IfNotPresent, Always or Never
	Annotations  map[string]string
	RunAsNonRoot bool
}

// PodStatus is what the kubelet says of a pod of one container.
type PodStatus struct {
	Name, Namespace string // without the node's name
	Phase           string
	// Container is the container's id without the runtime's name before it.
	Container string
	Image     string
	ImageID   string
	Restarts  int
	Running   bool
	// Reason and Message say why the container does not run.
	Reason, Message string
}

// String is for the message of a failed test.
func (s PodStatus) String() string {
	return fmt.Sprintf("%s/%s %s running=%t restarts=%d image=%s imageID=%s %s %q",
		s.Namespace, s.Name, s.Phase, s.Running, s.Restarts, s.Image, s.ImageID, s.Reason, s.Message)
}

// AddPod puts a pod before the kubelet.
func (k *Kubelet) AddPod(pod StaticPod) error {
	if pod.Namespace == "" {
		pod.Namespace = "default"
	}
	security := map[string]any{}
	if pod.RunAsNonRoot {
		security["runAsNonRoot"] = true
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace, "annotations": pod.Annotations},
		"spec": map[string]any{
			"hostNetwork": true, "terminationGracePeriodSeconds": 1, "securityContext": security,
			"containers": []any{map[string]any{"name": "main", "image": pod.Image, "imagePullPolicy": pod.PullPolicy}},
		},
	})
	if err != nil {
		return fmt.Errorf("add pod %s: %w", pod.Name, err)
	}
	// Renamed into place: the kubelet must not read half a file.
	temp := filepath.Join(k.containerd.Dir, pod.Name+".manifest")
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("add pod %s: %w", pod.Name, err)
	}
	return os.Rename(temp, k.manifest(pod.Name))
}

func (k *Kubelet) manifest(name string) string { return filepath.Join(k.manifests, name+".json") }

// RemovePod takes a pod away from the kubelet, waits until it has ended, and
// removes its containers, which the kubelet does within the next minute or two.
func (k *Kubelet) RemovePod(ctx context.Context, name string) error {
	if err := os.Remove(k.manifest(name)); err != nil {
		return fmt.Errorf("remove pod %s: %w", name, err)
	}
	runtime := k.containerd.CRI.Runtime
	ofPod := &runtimeapi.ContainerFilter{LabelSelector: map[string]string{"io.kubernetes.pod.name": name + "-" + nodeName}}
	for {
		reply, err := runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: ofPod})
		if err == nil && len(reply.GetContainers()) == 0 {
			return nil
		}
		for _, c := range reply.GetContainers() {
			if c.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED {
				_, err = runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: c.GetId()})
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("remove pod %s: %w; its containers: %v, %w", name, ctx.Err(), reply.GetContainers(), err)
		}
	}
}

// AwaitPod waits until the kubelet says of a pod what is wanted; of a pod that is
// not there it says nothing but zeros.
func (k *Kubelet) AwaitPod(ctx context.Context, name string, wanted func(PodStatus) bool) (PodStatus, error) {
	for {
		found, err := k.pod(ctx, name)
		if err == nil && wanted(found) {
			return found, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return found, fmt.Errorf("wait for pod %s: %w; it is %s, %w", name, ctx.Err(), found, err)
		}
	}
}

func (k *Kubelet) pod(ctx context.Context, name string) (PodStatus, error) {
	all, err := k.Pods(ctx)
	for _, status := range all {
		if status.Name == name {
			return status, err
		}
	}
	return PodStatus{}, err
}

// Pods are what the kubelet says of all its pods.
func (k *Kubelet) Pods(ctx context.Context) ([]PodStatus, error) {
	var list podList
	if err := k.get(ctx, "/pods", &list); err != nil {
		return nil, err
	}
	var all []PodStatus
	for _, item := range list.Items {
		status := PodStatus{
			Name: strings.TrimSuffix(item.Metadata.Name, "-"+nodeName), Namespace: item.Metadata.Namespace,
			Phase: item.Status.Phase,
		}
		for _, c := range item.Status.ContainerStatuses {
			_, status.Container, _ = strings.Cut(c.ContainerID, "://")
			status.Image, status.ImageID, status.Restarts = c.Image, c.ImageID, c.RestartCount
			status.Running = c.State.Running != nil
			for _, why := range []*stateReason{c.State.Waiting, c.State.Terminated} {
				if why != nil {
					status.Reason, status.Message = why.Reason, why.Message
				}
			}
		}
		all = append(all, status)
	}
	return all, nil
}

// podList is the little that is read of a v1.PodList.
type podList struct {
	Items []struct {
		Metadata struct{ Name, Namespace string }
		Status   struct {
			Phase             string
			ContainerStatuses []struct {
				ContainerID, Image, ImageID string
				RestartCount                int
				State                       struct {
					Running             *struct{}
					Waiting, Terminated *stateReason
				}
			}
		}
	}
}

type stateReason struct{ Reason, Message string }
