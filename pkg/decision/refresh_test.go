package decision

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/cachetest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/cache"
)

// refreshing is a resolver that refreshes when it is told to.
type refreshing struct {
	*Resolver
	t    testing.TB
	dir  string
	tell chan struct{}
}

func newRefreshing(t testing.TB, r *fakeregistry.Registry) *refreshing {
	t.Helper()
	resolver := &refreshing{newTestResolver(t, r, testkit.Node(3)), t, t.TempDir(), make(chan struct{})}
	var err error
	if resolver.cache, err = cache.Open(resolver.dir, 64<<20); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(resolver.RefreshInBackground())
	resolver.refresher.delay = func(time.Duration) time.Duration {
		select {
		case <-resolver.tell:
		case <-resolver.refresher.ctx.Done():
		}
		return 0
	}
	return resolver
}

// age makes the lists of referrers older.
func (r *refreshing) age(by time.Duration) {
	t := r.t
	t.Helper()
	r.recent.lru.Purge() // decisions by them
	if lists, err := cachetest.Shift(r.dir, -by); err != nil || lists == 0 {
		t.Fatalf("%d lists, %v", lists, err)
	}
}

// refreshNow ends the wait of one refresh, and waits for its end.
func (r *refreshing) refreshNow() {
	r.refresher.mu.Lock()
	waiting := len(r.refresher.waiting)
	r.refresher.mu.Unlock()
	if waiting != 1 {
		r.t.Fatalf("%d refreshes wait, want 1", waiting)
	}
	r.tell <- struct{}{}
	r.refresher.group.Wait()
}

// Lists live an hour in these tests, which take less.
func TestListsThatAreOutOfDateServeOnceMoreWhileTheyAreRefreshed(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	v1, v3 := r.Image("linux/amd64", "v1"), r.Image("linux/amd64/v3", "v3")
	r.Index("1", v1, v3)
	resolver := newRefreshing(t, r)
	want := func(when, choice string, requests ...string) {
		t.Helper()
		if got := chosen(decide(t, resolver.Resolver, app)); got != choice {
			t.Errorf("%s: %s, want %s", when, got, choice)
		}
		if asked := r.Requests(); len(requests) > 0 && !slices.Equal(asked, requests) {
			t.Errorf("%s: requests %q, want %q", when, asked, requests)
		}
	}
	head := "HEAD manifests/1"
	want("first", "linux/amd64/v3")
	r.Attach(v3, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AMXINT8": true`})
	r.Requests()
	want("while lists are current", "linux/amd64/v3", head)
	resolver.age(5 * time.Hour)
	want("out of date", "linux/amd64/v3", head)
	want("before they are refreshed", "linux/amd64/v3", head)
	resolver.refreshNow()
	asked := r.Requests()
	lists := slices.DeleteFunc(slices.Clone(asked), func(line string) bool {
		return !strings.Contains(line, "/referrers/") && !strings.HasPrefix(line, "GET referrers/")
	})
	if len(lists) != 3 || len(asked) != 5 || slices.Contains(asked, head) {
		t.Errorf("the refresh asked %q, want three lists, the artifact and its body", asked)
	}
	want("after that", "linux/amd64", head)
	resolver.age(11 * time.Hour)
	want("long out of date", "linux/amd64")
	resolver.age(5 * time.Hour)
	r.Unlist(v1)
	r.Attach(v1, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AMXINT8": true`})
	resolver.age(11 * time.Hour)
	want("nothing fits", "none")
	r.Unlist(v1)
	resolver.age(5 * time.Hour)
	want("nothing fits by lists that are out of date", "linux/amd64")
	resolver.age(5 * time.Hour)
	if d := explain(t, resolver.Resolver, app); chosen(d) != "linux/amd64" || len(r.Requests()) < 4 {
		t.Error("explain was answered from lists that are out of date")
	}
}

// What a pull may read counts anew when it asks for current lists.
func TestARefusalByCurrentListsMayReadAsMuchAsAnyPull(t *testing.T) {
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "v1")
	r.Index("1", image)
	for i, padding := range []int{3900, 3901, 3902, 3903, 300} { // KiB; the newest counts, all are read
		r.Attach(image, fakeregistry.Artifact{
			Body:        `{"compatibilities": {"io.kubernetes.nfd": {"cpu-cpuid.AMXINT8": true}}}` + strings.Repeat(" ", padding<<10),
			Annotations: map[string]string{ocispec.AnnotationCreated: fmt.Sprintf("2026-01-0%dT00:00:00Z", i+1)},
		})
	}
	resolver := newRefreshing(t, r)
	for _, when := range []string{"first", "by lists that are out of date"} {
		if d := decide(t, resolver.Resolver, app); !d.Refused() {
			t.Errorf("%s: %s", when, d.Reason)
		}
		resolver.age(5 * time.Hour)
	}
}

// A refresh that fails leaves the list as old as it is: at some age the pull asks itself.
func TestAListThatCannotBeRefreshedIsAskedForByThePull(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	pushLevels(r)
	resolver := newRefreshing(t, r)
	change(resolver.Resolver, func(r *Rules) { r.StaleFor = 0 })
	decide(t, resolver.Resolver, app)
	r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/referrers/") {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	resolver.age(5 * time.Hour)
	for range 2 {
		decide(t, resolver.Resolver, app)
		resolver.refreshNow()
	}
	resolver.age(6 * time.Hour)
	if _, err := decideAs(t.Context(), resolver.Resolver, app); err == nil {
		t.Error("lists of eleven hours ago were used without asking")
	}
}

func TestRefreshesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	resolver := newRefreshing(t, newTestRegistry(t))
	all := resolver.refresher
	for registries := range 2 * maxRefreshes / maxRefreshesOfOne {
		for i := range 2 * maxRefreshesOfOne {
			all.add(fmt.Sprint(registries, i), fmt.Sprint(registries))
		}
	}
	if n, of := len(all.waiting), all.registries["0"].waiting; n != maxRefreshes || of != maxRefreshesOfOne {
		t.Errorf("%d wait, %d of one registry", n, of)
	}
	if all.add("0 0", "other") != nil {
		t.Error("what waits was added again")
	}
}

// BenchmarkFleet counts the requests of many nodes that pull one image at the same moment:
// for the first time, again, and when the lists are out of date, in the pull and beside it.
// peak/s is how many nodes refresh in one second.
func BenchmarkFleet(b *testing.B) {
	const candidates = 4
	for _, nodes := range []int{10, 1000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			for b.Loop() {
				f := newFleet(b, nodes, candidates)
				cold, warm := f.pull(), f.pull()
				for _, node := range f.nodes {
					node.age(5 * time.Minute)
				}
				later := f.pull()
				refreshed, peak := f.refresh()
				b.ReportMetric(cold, "cold/node")
				b.ReportMetric(warm, "warm/node")
				b.ReportMetric(later, "later/node")
				b.ReportMetric(refreshed, "beside/node")
				b.ReportMetric(peak, "peak/s")
			}
		})
	}
}

type fleet struct {
	b        *testing.B
	registry *fakeregistry.Registry
	nodes    []*refreshing
}

func newFleet(b *testing.B, nodes, candidates int) *fleet {
	f := &fleet{b: b, registry: newTestRegistry(b)}
	var entries []ocispec.Descriptor
	for i := range candidates {
		platform := "linux/amd64"
		if i > 0 {
			platform += "/v3"
		}
		entry := f.registry.Image(platform, fmt.Sprint(i))
		f.registry.Attach(entry, fakeregistry.Artifact{Attributes: fmt.Sprintf(`"kernel-version.major": %d`, i)})
		entries = append(entries, entry)
	}
	f.registry.Index("1", entries...)
	for range nodes {
		node := newRefreshing(b, f.registry)
		change(node.Resolver, func(r *Rules) { r.ReferrersTTL = time.Minute })
		f.nodes = append(f.nodes, node)
	}
	return f
}

// pull has each node pull, and returns the requests per node.
func (f *fleet) pull() float64 {
	f.registry.Requests()
	for _, node := range f.nodes {
		decide(f.b, node.Resolver, app)
	}
	return float64(len(f.registry.Requests())) / float64(len(f.nodes))
}

// refresh ends the wait of all nodes, and returns the requests per node and how many nodes
// would have made theirs in the same second.
func (f *fleet) refresh() (requests, peak float64) {
	seconds := map[int64]float64{}
	for _, node := range f.nodes {
		node.refreshNow()
		second := int64(spread(node.rules().ReferrersTTL) / time.Second)
		seconds[second]++
		peak = max(peak, seconds[second])
	}
	return float64(len(f.registry.Requests())) / float64(len(f.nodes)), peak
}
