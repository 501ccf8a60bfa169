package integration

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// sides measures the same call directly and through the proxy, in turns so that
// a noisy machine is noisy for both, and reports the ratio.
func sides(b *testing.B, direct, proxied func() error) {
	b.Helper()
	var took [2][]time.Duration
	for b.Loop() {
		for side, call := range []func() error{direct, proxied} {
			start := time.Now()
			if err := call(); err != nil {
				b.Fatal(err)
			}
			took[side] = append(took[side], time.Since(start))
		}
	}
	for side, name := range []string{"direct", "proxied"} {
		slices.Sort(took[side])
		b.ReportMetric(float64(quantile(took[side], 0.50).Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(quantile(took[side], 0.99).Microseconds()), name+"-p99-us")
	}
	b.ReportMetric(float64(quantile(took[1], 0.5))/float64(quantile(took[0], 0.5)), "p50-ratio")
	b.ReportMetric(0, "ns/op") // both sides together say nothing
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// BenchmarkVersion is the smallest call there is, on real containerd.
func BenchmarkVersion(b *testing.B) {
	f := startFit(b, flagsV3, stack.Settings{})
	call := func(cri *stack.CRI) func() error {
		return func() error {
			_, err := cri.Runtime.Version(context.Background(), &runtimeapi.VersionRequest{})
			return err
		}
	}
	proxied, err := f.containerd.Via(f.Socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = proxied.Close() })
	sides(b, call(f.containerd.CRI), call(proxied))
}

// BenchmarkPullImage pulls what is on the node already, with the artifacts
// known: what a pod with imagePullPolicy Always costs. Directly it is the pull
// of the tag; through the proxy that of the variant that fits.
func BenchmarkPullImage(b *testing.B) {
	for name, delay := range map[string]time.Duration{"0ms": 0, "20ms": 20 * time.Millisecond} {
		b.Run("rtt="+name, func(b *testing.B) {
			f := startFit(b, flagsV3, stack.Settings{Cache: `referrers_ttl = "1h"`})
			repo, _, manifests := f.push(b, "app", variants("amd64", "amd64/v3", "amd64/v2", "arm64")...)
			needs(b, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
			plain := f.registry.Repo("plain")
			if _, _, err := plain.PushIndex(b.Context(), "1", variants("amd64", "amd64/v3", "amd64/v2", "arm64")...); err != nil {
				b.Fatal(err)
			}
			f.registry.Inject(stack.Fault{Delay: delay})
			requests := [2]int{}
			pull := func(side int, cri *stack.CRI, ref string) func() error {
				return func() error {
					f.registry.Forget()
					_, err := cri.Pull(context.Background(), ref, stack.PullOptions{})
					requests[side] = len(f.registry.Requests())
					return err
				}
			}
			direct, proxied := pull(0, f.containerd.CRI, plain.Ref("1")), pull(1, f.cri, repo.Ref("1"))
			for _, first := range []func() error{direct, proxied} {
				if err := first(); err != nil {
					b.Fatal(err)
				}
			}
			sides(b, direct, proxied)
			b.ReportMetric(float64(requests[0]), "direct-requests")
			b.ReportMetric(float64(requests[1]), "proxied-requests")
		})
	}
}

// BenchmarkColdPull pulls images that neither node nor proxy has seen, directly
// and through the proxy, each from a repository of its own. What the proxy adds
// must not grow with the number of candidates: it asks for all of them at once.
func BenchmarkColdPull(b *testing.B) {
	for _, candidates := range []int{1, 4, 16, 64} {
		for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
			b.Run(fmt.Sprintf("candidates=%d/rtt=%s", candidates, rtt), func(b *testing.B) {
				f := startFit(b, flagsV3, stack.Settings{Cache: `referrers_ttl = "1h"`})
				var took, requests [2][]time.Duration
				round := 0
				for b.Loop() {
					for side, cri := range []*stack.CRI{f.containerd.CRI, f.cri} {
						round++
						ref := f.pushMany(b, round, candidates)
						stop := f.registry.Inject(stack.Fault{Delay: rtt})
						f.registry.Forget()
						start := time.Now()
						if _, err := cri.Pull(context.Background(), ref, stack.PullOptions{}); err != nil {
							b.Fatal(err)
						}
						took[side] = append(took[side], time.Since(start))
						requests[side] = append(requests[side], time.Duration(len(f.registry.Requests())))
						stop()
					}
				}
				for side, name := range []string{"direct", "proxied"} {
					slices.Sort(took[side])
					slices.Sort(requests[side])
					b.ReportMetric(float64(quantile(took[side], 0.50).Microseconds()), name+"-p50-us")
					b.ReportMetric(float64(quantile(requests[side], 0.50)), name+"-requests")
				}
				added := quantile(took[1], 0.5) - quantile(took[0], 0.5)
				b.ReportMetric(float64(added.Microseconds()), "added-us")
				if rtt > 0 {
					b.ReportMetric(float64(added)/float64(rtt), "added-round-trips")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// pushMany pushes an index of so many variants, each with an artifact, under a
// name not used before.
func (f *fit) pushMany(b *testing.B, round, candidates int) string {
	b.Helper()
	var images []stack.Image
	for i := range candidates {
		image := variants("amd64")[0]
		if i == candidates-1 && i > 0 {
			image = variants("amd64/v3")[0]
		}
		image.Variant = fmt.Sprintf("round %d, candidate %d", round, i)
		images = append(images, image)
	}
	repo, _, manifests := f.push(b, fmt.Sprintf("cold/%d", round), images...)
	for _, m := range manifests {
		needs(b, repo, m, `"cpu-cpuid.AVX2": true`)
	}
	return repo.Ref("1")
}
