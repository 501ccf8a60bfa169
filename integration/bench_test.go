package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// sides measures what is made ready directly and through the proxy, in turns so
// that a noisy machine is noisy for both, and reports what the proxy adds.
func sides(b *testing.B, ready func(proxied bool) (call func() error)) (added time.Duration) {
	b.Helper()
	var took [2][]time.Duration
	for b.Loop() {
		for side, proxied := range []bool{false, true} {
			call := ready(proxied)
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
	direct, proxied := quantile(took[0], 0.5), quantile(took[1], 0.5)
	b.ReportMetric(float64(proxied)/float64(direct), "p50-ratio")
	b.ReportMetric(0, "ns/op") // both sides together say nothing
	return proxied - direct
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// BenchmarkVersion is the smallest call there is, on real containerd.
func BenchmarkVersion(b *testing.B) {
	f := startFit(b, flagsV3, stack.Settings{})
	whole, err := f.containerd.Via(f.Socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = whole.Close() })
	sides(b, func(proxied bool) func() error {
		cri := f.containerd.CRI
		if proxied {
			cri = whole
		}
		return func() error {
			_, err := cri.Runtime.Version(context.Background(), &runtimeapi.VersionRequest{})
			return err
		}
	})
}

// BenchmarkWarmPull pulls what is on the node already, with the artifacts known:
// what a pod with imagePullPolicy Always costs.
func BenchmarkWarmPull(b *testing.B) { pulls(b, stack.PullOptions{}, warm(stack.PullOptions{})) }

// BenchmarkWarmPullWithToken is the same from a registry that asks for tokens, for which
// the runtime logs in each time.
func BenchmarkWarmPullWithToken(b *testing.B) {
	alice := auth("alice", "a")
	pulls(b, alice, func(b *testing.B, f *fit, candidates int) func(proxied bool) string {
		refs := warm(alice)(b, f, candidates)
		f.registry.RequireToken(map[string]stack.User{"alice": {Password: "a"}})
		return refs
	})
}

// warm makes an image for each side, which it has pulled.
func warm(opts stack.PullOptions) func(*testing.B, *fit, int) func(proxied bool) string {
	return func(b *testing.B, f *fit, candidates int) func(proxied bool) string {
		refs := map[bool]string{}
		for _, proxied := range []bool{false, true} {
			refs[proxied] = f.pushCandidates(b, f.fresh(), candidates)
			if _, err := f.side(proxied).Pull(b.Context(), refs[proxied], opts); err != nil {
				b.Fatal(err)
			}
		}
		return func(proxied bool) string { return refs[proxied] }
	}
}

// BenchmarkColdPull pulls images that neither node nor proxy has seen, each from
// a repository of its own. What the proxy adds must not grow with the number of
// candidates: it asks for all of them at once.
func BenchmarkColdPull(b *testing.B) {
	pulls(b, stack.PullOptions{}, func(b *testing.B, f *fit, candidates int) func(proxied bool) string {
		return func(bool) string { return f.pushCandidates(b, f.fresh(), candidates) }
	})
}

// pulls measures pulls of tags over numbers of candidates and round trip times.
// Directly the runtime takes what it likes; through the proxy it gets the variant
// that fits.
func pulls(b *testing.B, opts stack.PullOptions, refs func(*testing.B, *fit, int) func(proxied bool) string) {
	f := startFit(b, flagsV3, stack.Settings{Cache: `referrers_ttl = "1h"`})
	for _, candidates := range []int{1, 4, 16, 64} {
		for _, rtt := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
			b.Run(fmt.Sprintf("candidates=%d/rtt=%s", candidates, rtt), func(b *testing.B) {
				ref := refs(b, f, candidates)
				rounds := f.rounds(b, ref(true), opts)
				stop := f.registry.Inject(stack.Fault{Delay: rtt})
				defer stop()
				requests := map[bool]int{}
				added := sides(b, func(proxied bool) func() error {
					ref, cri := ref(proxied), f.side(proxied)
					f.registry.Forget()
					return func() error {
						_, err := cri.Pull(context.Background(), ref, opts)
						requests[proxied] = len(f.registry.Requests())
						return err
					}
				})
				b.ReportMetric(float64(requests[false]), "direct-requests")
				b.ReportMetric(float64(requests[true]), "proxied-requests")
				b.ReportMetric(float64(rounds), "decision-round-trips")
				b.ReportMetric(float64(added.Microseconds()), "added-us")
				if rtt > 0 {
					b.ReportMetric(float64(added)/float64(rtt), "added-round-trips")
				}
			})
		}
	}
}

func (f *fit) side(proxied bool) *stack.CRI {
	if proxied {
		return f.cri
	}
	return f.containerd.CRI
}

// fresh is a name that no image has yet.
func (f *fit) fresh() string { return "bench/" + strings.ToLower(rand.Text()) }

// rounds counts the round trips of one decision.
func (f *fit) rounds(b *testing.B, ref string, opts stack.PullOptions) int {
	b.Helper()
	count := f.registry.CountRounds(aMoment)
	_, err := f.cri.Pull(b.Context(), ref, opts)
	rounds := count.Stop()
	if err != nil {
		b.Fatal(err)
	}
	return rounds["cri-proxy"]
}
