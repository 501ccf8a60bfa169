package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// situation is what a node's registries and images are like.
type situation struct {
	name string
	// offer pushes an image that neither side has seen.
	offer func(b *testing.B, f *fit, name string) offer
	// ref is what is pulled of it, where that is not its own reference.
	ref func(o offer) string
	// faults are of the registry, for each offer.
	faults func(o offer) answers
	hosts  func(b *testing.B, f *fit) string // hosts.toml of registry.test
	// node is what runs there, where that is not containerd alone with imagefit before it.
	node    func(b *testing.B) chained
	options stack.PullOptions
}

// chained is a node whose image calls go to direct without imagefit.
type chained struct {
	*fit
	direct *stack.CRI
}

// pullSituations are those of docs/registries.md and docs/selection.md.
func pullSituations() []situation {
	levels := func(b *testing.B, f *fit, name string) offer { return f.offerOf(b, name, taken, best, bad) }
	needy := func(b *testing.B, f *fit, name string) offer { return f.offer(b, name) }
	referrers := func(does answers) func(offer) answers {
		return func(offer) answers { return ofProxy(of("/referrers/", does)) }
	}
	status := func(code int) answers {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			return true
		}
	}
	mirrored := func(o offer) string { return "registry.test/" + strings.SplitN(o.ref, "/", 2)[1] }
	return []situation{
		{name: "a single image", offer: func(b *testing.B, f *fit, name string) offer { return f.offerOf(b, name, taken) }},
		{name: "one candidate", offer: func(b *testing.B, f *fit, name string) offer { return f.offerOf(b, name, taken, "arm64") }},
		{name: "three levels, no artifacts", offer: levels},
		{name: "three variants with artifacts", offer: needy},
		{name: "no referrers API (404)", offer: levels, faults: referrers(status(http.StatusNotFound))},
		{name: "referrers denied (403)", offer: levels, faults: referrers(status(http.StatusForbidden))},
		{name: "referrers fail (500)", offer: levels, faults: referrers(status(http.StatusInternalServerError))},
		{name: "referrers hang", offer: levels, faults: referrers(slow)},
		{name: "the best variant is denied (403)", offer: needy, faults: func(o offer) answers {
			return of("/manifests/"+o.manifests[best].Digest.String(), status(http.StatusForbidden))
		}},
		{name: "a mirror, its registry hangs", offer: needy, ref: mirrored, hosts: func(b *testing.B, f *fit) string {
			return fmt.Sprintf("server = \"http://%s\"\n[host.\"http://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", silent(b), f.registry.Host)
		}},
		{name: "a mirror that is down, then the registry", offer: needy, ref: mirrored, hosts: func(_ *testing.B, f *fit) string {
			return fmt.Sprintf("server = \"http://%s\"\n[host.\"http://127.0.0.1:1\"]\n  capabilities = [\"pull\", \"resolve\"]\n", f.registry.Host)
		}},
		{name: "another image service before containerd", offer: needy, node: behindAnImageService},
		{name: "a runtime class", offer: needy, options: stack.PullOptions{RuntimeHandler: "same"}, node: func(b *testing.B) chained {
			return onContainerd(startFitWith(b, startContainerd(b, stack.Options{Extra: sameHandler(b)}), startRegistry(b), flagsV3, listsKept()))
		}},
		{name: "an image volume, models for three GPUs", node: func(b *testing.B) chained {
			return onContainerd(startFitOn(b, startContainerd(b, stack.Options{}), startRegistry(b), hostWithGPU(b), listsKept()))
		}, offer: func(b *testing.B, f *fit, name string) offer {
			repo, index, manifests := f.pushModels(b, name)
			return offerIn(b, repo, index, manifests, models[:])
		}},
	}
}

func listsKept() stack.Settings { return stack.Settings{Cache: `referrers_ttl = "1h"`} }

func onContainerd(f *fit) chained { return chained{f, f.containerd.CRI} }

// behindAnImageService is a node whose image service is another one than the runtime.
func behindAnImageService(b *testing.B) chained {
	b.Helper()
	f, service := startBehindImageService(b, listsKept())
	direct, err := f.containerd.ImagesVia(service.socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = direct.Close() })
	return chained{f, direct}
}

// silent is an address that takes connections and never answers.
func silent(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// leastRounds shows what the pulls after one that waited cost.
const leastRounds = 3

// measured is what pulls of one side came to.
type measured struct {
	first, again                 []time.Duration
	requests, againRequests, got string
}

// BenchmarkSituations prints a table: what a first pull and the next one cost, directly and through
// imagefit, and what was pulled.
func BenchmarkSituations(b *testing.B) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nSITUATION\tFIRST PULL (WORST)\tTHROUGH IMAGEFIT\tAGAIN\tTHROUGH IMAGEFIT\tREQUESTS\tAGAIN\tPULLED")
	for _, s := range pullSituations() {
		if s.node == nil {
			s.node = func(b *testing.B) chained { return onContainerd(startFit(b, flagsV3, listsKept())) }
		}
		f := s.node(b)
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			sides := s.measure(b, f)
			direct, through := sides[0], sides[1]
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s, %s\t%s, %s\t%s, %s\n", s.name,
				spread(direct.first), spread(through.first), spread(direct.again), spread(through.again),
				direct.requests, through.requests, direct.againRequests, through.againRequests, direct.got, through.got)
		})
	}
	_ = table.Flush()
	_, _ = os.Stdout.WriteString(text.String()) // b.Log is not shown where all is well
}

func (s situation) measure(b *testing.B, f chained) (sides [2]measured) {
	b.Helper()
	if s.hosts != nil {
		if err := f.containerd.WriteHosts("registry.test", s.hosts(b, f.fit)); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { f.registry.Intercept(nil) })
	for b.Loop() {
		s.round(b, f, &sides)
	}
	for len(sides[0].first) < leastRounds {
		s.round(b, f, &sides)
	}
	b.ReportMetric(0, "ns/op") // both sides together say nothing
	for i, name := range []string{"direct", "proxied"} {
		b.ReportMetric(float64(median(sides[i].first).Microseconds()), name+"-first-us")
		b.ReportMetric(float64(median(sides[i].again).Microseconds()), name+"-again-us")
	}
	return sides
}

// round pulls an image of its own directly, and another through the proxy, twice each.
func (s situation) round(b *testing.B, f chained, sides *[2]measured) {
	b.Helper()
	for i, cri := range []*stack.CRI{f.direct, f.cri} {
		o := s.offer(b, f.fit, f.fresh())
		ref := o.ref
		if s.ref != nil {
			ref = s.ref(o)
		}
		f.registry.Intercept(nil)
		if s.faults != nil {
			f.registry.Intercept(s.faults(o))
		}
		pull := func() (took time.Duration, requests, got string) {
			f.registry.Forget()
			start := time.Now()
			id, err := cri.Pull(context.Background(), ref, s.options)
			if err != nil {
				b.Fatal(err)
			}
			return time.Since(start), fmt.Sprint(len(f.registry.Requests())), o.ids[id]
		}
		took, requests, got := pull()
		again, againRequests, _ := pull()
		side := &sides[i]
		side.first, side.again = append(side.first, took), append(side.again, again)
		side.requests, side.againRequests, side.got = requests, againRequests, got
	}
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return quantile(sorted, 0.5)
}

// spread is the median, and the longest where that is far from it.
func spread(all []time.Duration) string {
	middle, worst := median(all), slices.Max(all)
	text := middle.Round(100 * time.Microsecond).String()
	if worst > 3*middle {
		text += fmt.Sprintf(" (%s)", worst.Round(time.Millisecond))
	}
	return text
}
