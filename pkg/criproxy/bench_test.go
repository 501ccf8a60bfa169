package criproxy

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
)

// BenchmarkForwardVersion measures the smallest of calls.
func BenchmarkForwardVersion(b *testing.B) {
	compare(b, func(ctx context.Context, client runtimeapi.RuntimeServiceClient) error {
		_, err := client.Version(ctx, &runtimeapi.VersionRequest{Version: "v1"})
		return err
	})
}

// BenchmarkForwardList500 measures what the kubelet asks for all the time on a full node.
func BenchmarkForwardList500(b *testing.B) {
	compare(b, func(ctx context.Context, client runtimeapi.RuntimeServiceClient) error {
		reply, err := client.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
		if err == nil && len(reply.Containers) != 500 {
			return fmt.Errorf("got %d containers", len(reply.Containers))
		}
		return err
	})
}

// compare makes the call to the runtime and through the proxy alternately, so that
// whatever else the machine does hits both alike, and reports both and the ratio.
func compare(b *testing.B, call func(context.Context, runtimeapi.RuntimeServiceClient) error) {
	runtimePath := filepath.Join(b.TempDir(), "runtime.sock")
	containers := &runtimeapi.ListContainersResponse{Containers: manyContainers(500)}
	critest.Start(b, runtimePath, &critest.Runtime{
		OnList: func(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
			return containers, nil
		},
	})
	_, proxyPath := startProxy(b, runtimePath, nil)

	ctx := context.Background()
	direct := runtimeapi.NewRuntimeServiceClient(critest.Dial(b, runtimePath))
	proxied := runtimeapi.NewRuntimeServiceClient(critest.Dial(b, proxyPath))
	timed := func(client runtimeapi.RuntimeServiceClient) time.Duration {
		start := time.Now()
		if err := call(ctx, client); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for range 50 { // connections, windows and pools
		timed(direct)
		timed(proxied)
	}
	var directTimes, proxiedTimes []time.Duration
	for b.Loop() {
		directTimes = append(directTimes, timed(direct))
		proxiedTimes = append(proxiedTimes, timed(proxied))
	}
	b.ReportMetric(0, "ns/op") // The sum of both sides tells nothing.
	for _, p := range []int{50, 99} {
		d, v := percentile(directTimes, p), percentile(proxiedTimes, p)
		b.ReportMetric(float64(d.Nanoseconds())/1e3, fmt.Sprintf("direct-p%d-µs", p))
		b.ReportMetric(float64(v.Nanoseconds())/1e3, fmt.Sprintf("proxied-p%d-µs", p))
		b.ReportMetric(float64(v)/float64(d), fmt.Sprintf("p%d-ratio", p))
	}
	b.ReportMetric(allocations(func() { timed(direct) }), "direct-allocs")
	b.ReportMetric(allocations(func() { timed(proxied) }), "proxied-allocs")
}

func percentile(times []time.Duration, p int) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, len(times)*p/100)]
}

// allocations counts those of the whole process, client and runtime included.
func allocations(f func()) float64 {
	const rounds = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / rounds
}

// manyContainers are as large as real ones: about 840 bytes each.
func manyContainers(n int) []*runtimeapi.Container {
	containers := make([]*runtimeapi.Container, n)
	for i := range containers {
		id := fmt.Sprintf("%064x", i)
		containers[i] = &runtimeapi.Container{
			Id: id, PodSandboxId: id, CreatedAt: 1 << 60, State: runtimeapi.ContainerState_CONTAINER_RUNNING,
			Metadata: &runtimeapi.ContainerMetadata{Name: "container", Attempt: 1},
			Image:    &runtimeapi.ImageSpec{Image: "sha256:" + id, UserSpecifiedImage: "registry.example/team/app:v1"},
			ImageRef: "sha256:" + id, ImageId: "sha256:" + id,
			Labels: map[string]string{
				"io.kubernetes.container.name": "container",
				"io.kubernetes.pod.name":       "pod-" + id[:20],
				"io.kubernetes.pod.namespace":  "namespace",
				"io.kubernetes.pod.uid":        id[:36],
			},
			Annotations: map[string]string{
				"io.kubernetes.container.hash":                     id[:8],
				"io.kubernetes.container.restartCount":             "1",
				"io.kubernetes.container.terminationMessagePath":   "/dev/termination-log",
				"io.kubernetes.container.terminationMessagePolicy": "File",
				"io.kubernetes.pod.terminationGracePeriod":         strings.Repeat("3", 2),
			},
		}
	}
	return containers
}
