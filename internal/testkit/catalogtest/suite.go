package catalogtest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
)

// Opener opens a new and empty catalog, and again what it opened, by another name for the
// same database.
type Opener func(t *testing.T, now func() time.Time) (c *catalog.Catalog, again func() *catalog.Catalog)

// Clock is a clock that tests set.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock returns a clock that shows a day in 2026.
func NewClock() *Clock { return &Clock{at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Suite runs the tests that every database passes.
func Suite(t *testing.T, open Opener) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Opener){
		"queries": queries, "increments": increments, "history": history, "two at once": twoAtOnce, "resumed": resumed,
		"signers": signers, "pruned": pruned, "unlisted": unlisted,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// queries asks questions with known answers.
func queries(t *testing.T, open Opener) {
	reg := fakeregistry.New(t, fakeregistry.Options{})
	Fill(reg)
	c, _ := open(t, NewClock().Now)
	Add(t, c, reg.Host())
	if s := Sync(t, Syncer(t, c)); s.Names != 12 || s.New != 12 || s.Problems != 0 {
		t.Fatalf("sync: %+v", s)
	}
	for _, q := range []struct{ query, want string }{
		{"requires cpu.cpuid.AVX512F", "hpc/lammps:1 amd64, hpc/lammps:2 amd64"},
		{"requires mpi.host.implementation = openmpi", "hpc/mpi:1 amd64, hpc/mpi:1 arm64"},
		{"requires mpi.host", "hpc/mpi:1 amd64, hpc/mpi:1 arm64"},
		{"requires mpi.host.version >= 4.1", "hpc/mpi:1 amd64, hpc/mpi:1 arm64"},
		{"requires mpi.host.version >= 5", ""},
		{"requires mpi.host.version < 5", "hpc/mpi:1 amd64, hpc/mpi:1 arm64"},
		{"requires gpu.device.vendor = nvidia", "ai/torch:11 amd64, ai/torch:12 amd64"},
		{"requires gpu.nvidia.cuda_version >= 12", "ai/torch:12 amd64"},
		{"requires gpu.nvidia.cuda_version >= 11.8", "ai/torch:11 amd64, ai/torch:12 amd64"},
		{"requires gpu.nvidia.cuda_version > 11.8", "ai/torch:12 amd64"},
		{"requires kernel.config.BPF = y", "net/ebpf:1 amd64"},
		{"requires kernel.version >= 6", "net/ebpf:1 amd64"},
		{"requires kernel.version > 6.8", ""},
		{"requires *AVX*", "bad/lint:1 amd64, hpc/lammps:1 amd64, hpc/lammps:1 amd64, hpc/lammps:2 amd64"},
		{"states org.supercontainers/mpi.version = 4.1.6", "hpc/mpi:1 amd64, hpc/mpi:1 arm64"},
		{"not requires * and platform = linux/amd64", "mirror/nginx:1 amd64, web/nginx:1 amd64, web/nginx:stable amd64"},
		{"not (requires cpu.cpuid or requires gpu or requires kernel) and platform = linux/amd64", "hpc/mpi:1 amd64, mirror/nginx:1 amd64, web/nginx:1 amd64, web/nginx:stable amd64"},
		{"requires kernel.config and requires kernel.version >= 6.8", "net/ebpf:1 amd64"},
		{"requires kernel.config and requires mpi.host", ""},
		{"requires kernel.config or requires mpi.host or tag = 12", "ai/torch:12 amd64, hpc/mpi:1 amd64, hpc/mpi:1 arm64, net/ebpf:1 amd64"},
		{"requires gpu", "ai/torch:11 amd64, ai/torch:12 amd64"},
		{"artifacts = 0 and platform = linux/amd64", "mirror/nginx:1 amd64, web/nginx:1 amd64, web/nginx:stable amd64"},
		{"artifacts = 0 and not (name ~ \"*nginx*\" or platform ~ *riscv*)", "hpc/lammps:1 arm64"},
		{"errors > 0", "bad/lint:1 amd64"},
		{"build_host", "bad/host:1 amd64"},
		{"names > 1 and platform = linux/arm64", "mirror/nginx:1 arm64, web/nginx:1 arm64, web/nginx:stable arm64"},
		{"signed", ""},
		{"dialect = nfd-v1alpha1", "bad/host:1 amd64"},
		{"tag = stable", "web/nginx:stable amd64, web/nginx:stable arm64"},
		{"repository ~ */hpc/mpi and platform ~ *64", "hpc/mpi:1 amd64, hpc/mpi:1 arm64"},
		{"first_seen > 2026-10-01 and tag = 12", "ai/torch:12 amd64"},
		{"first_seen < 2026-10-01", ""},
		{"moved > 1y", ""},
		{"source = registry and tag = 11", "ai/torch:11 amd64"},
		{"unreadable", ""},
		{"platform = linux/riscv64", "exotic/riscv:1 riscv64"},
	} {
		if got := Answer(t, c, reg.Host(), q.query); got != q.want {
			t.Errorf("%s:\n got %s\nwant %s", q.query, got, q.want)
		}
	}
	attributes, err := c.Attributes(t.Context(), "gpu.", 10)
	if err != nil || attributes["gpu.nvidia.cuda_version"] != 2 {
		t.Errorf("attributes: %v %v", attributes, err)
	}
}

// increments counts the requests of a second sync.
func increments(t *testing.T, open Opener) {
	reg, clock := fakeregistry.New(t, fakeregistry.Options{}), NewClock()
	Fill(reg)
	c, _ := open(t, clock.Now)
	s := Syncer(t, c)
	Add(t, c, reg.Host())
	Sync(t, s)
	for _, r := range reg.Requests() {
		if strings.Contains(r, "GET blobs/") && strings.Contains(r, "layer") {
			t.Errorf("a layer was read: %s", r)
		}
	}
	count := func() (heads, lists, others int) {
		for _, r := range reg.Recorded() {
			switch path := r.URL.Path; {
			case r.Method == http.MethodHead:
				heads++
			case strings.Contains(path, "/referrers/"):
				lists++
			case !strings.HasSuffix(path, "/tags/list") && path != "/v2/_catalog":
				others++
				t.Logf("%s %s", r.Method, path)
			}
		}
		reg.Forget()
		return heads, lists, others
	}
	reg.Forget()
	clock.Add(10 * time.Minute)
	if got := Sync(t, s); got.Same != 12 || got.New+got.Moved != 0 {
		t.Errorf("second sync: %+v", got)
	}
	if heads, lists, others := count(); heads != 12 || lists != 0 || others != 0 {
		t.Errorf("a sync of what did not move: %d HEADs, %d lists, %d others", heads, lists, others)
	}
	clock.Add(2 * time.Hour) // the lists of referrers are older than they may be
	if got := Sync(t, s); got.Same != 12 {
		t.Errorf("third sync: %+v", got)
	}
	// Names that are of one index share its lists.
	if heads, lists, others := count(); heads != 12 || lists == 0 || others != 0 {
		t.Errorf("a sync after the TTL: %d HEADs, %d lists, %d others", heads, lists, others)
	}
}

// history follows what changes in a registry.
func history(t *testing.T, open Opener) {
	reg, clock := fakeregistry.New(t, fakeregistry.Options{}), NewClock()
	app := reg.In("app")
	old := app.Image("linux/amd64", "old", "1", "2")
	c, _ := open(t, clock.Now)
	s := Syncer(t, c)
	Add(t, c, reg.Host()+"/app")
	Sync(t, s)
	begin := clock.Now()
	clock.Add(24 * time.Hour)
	app.Image("linux/amd64", "new", "1")
	app.Attach(old, fakeregistry.Artifact{Body: F(NeedsAVX2)})
	if got := Sync(t, s); got.Moved != 1 || got.Same != 1 {
		t.Errorf("sync: %+v", got)
	}
	changes, err := c.Changes(t.Context(), begin, clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, change := range changes {
		got = append(got, change.What+" "+strings.TrimPrefix(change.Name, reg.Host()+"/"))
	}
	if want := "moved app:1, artifact added app:2"; strings.Join(got, ", ") != want {
		t.Errorf("changes: %q, want %q", got, want)
	}
	if got := Answer(t, c, reg.Host(), "moved > 1d"); got != "app:1 amd64" {
		t.Errorf("moved: %s", got)
	}
	if got := Answer(t, c, reg.Host(), "requires cpu.cpuid.AVX2"); got != "app:2 amd64" {
		t.Errorf("requires: %s", got)
	}
	begin = clock.Now()
	clock.Add(24 * time.Hour)
	app.Unlist(old)
	reg.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"tags": ["2"]}`))
			return true
		}
		return false
	})
	if got := Sync(t, s); got.Gone != 1 {
		t.Errorf("sync: %+v", got)
	}
	if got := Answer(t, c, reg.Host(), "requires cpu.cpuid.AVX2"); got != "" {
		t.Errorf("an artifact that is gone: %s", got)
	}
	if got := Answer(t, c, reg.Host(), ""); got != "app:2 amd64" {
		t.Errorf("all: %s", got)
	}
	if changes, err = c.Changes(t.Context(), begin, clock.Now()); err != nil || len(changes) != 2 || changes[0].What != "gone" || changes[1].What != "artifact gone" {
		t.Errorf("changes: %+v %v", changes, err)
	}
}

// twoAtOnce runs two syncs on one database.
func twoAtOnce(t *testing.T, open Opener) {
	reg := fakeregistry.New(t, fakeregistry.Options{})
	Fill(reg)
	c, again := open(t, time.Now)
	Add(t, c, reg.Host())
	other := again()
	var group sync.WaitGroup
	for _, one := range []*catalog.Catalog{c, other} {
		syncer := Syncer(t, one)
		group.Go(func() {
			sources, err := one.Sources(t.Context())
			if err == nil {
				_, err = syncer.Sync(t.Context(), sources)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := strings.Count(Answer(t, c, reg.Host(), ""), ",") + 1; got != 18 {
		t.Errorf("%d variants", got)
	}
	if got := Answer(t, c, reg.Host(), "requires mpi.host"); got != "hpc/mpi:1 amd64, hpc/mpi:1 arm64" {
		t.Error(got)
	}
	if s := Sync(t, Syncer(t, other)); s.Moved+s.New+s.Gone != 0 {
		t.Errorf("a sync after both: %+v", s)
	}
}

// resumed ends a sync in the middle, as a kill does: the next one does not look again at
// what was recorded.
func resumed(t *testing.T, open Opener) {
	reg := fakeregistry.New(t, fakeregistry.Options{})
	Fill(reg)
	clock := NewClock()
	c, again := open(t, clock.Now)
	Add(t, c, reg.Host())
	ctx, cancel := context.WithCancel(t.Context())
	s := Syncer(t, c)
	s.Progress = func(p catalog.Progress) {
		if p.Names == 6 {
			cancel()
		}
	}
	sources, err := c.Sources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sync(ctx, sources); err == nil {
		t.Fatal("the sync was not interrupted")
	}
	clock.Add(time.Minute)
	got := Sync(t, Syncer(t, again()))
	if got.Skipped < 6 || got.Names != 12 || got.Skipped+got.New != 12 {
		t.Errorf("resumed: %+v", got)
	}
	if n := strings.Count(Answer(t, c, reg.Host(), ""), ",") + 1; n != 18 {
		t.Errorf("%d variants", n)
	}
}
