package catalogtest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
)

// pruned removes what went long ago, and nothing that a name has or had not long ago.
func pruned(t *testing.T, open Opener) {
	reg, clock := fakeregistry.New(t, fakeregistry.Options{}), NewClock()
	app := reg.In("app")
	for tag, groups := range map[string]string{"moves": NeedsAVX512, "goes": NeedsOpenMPI, "stays": NeedsAVX2, "late": NeedsCUDA12} {
		app.Attach(app.Image("linux/amd64", tag, tag), fakeregistry.Artifact{Body: F(groups)})
	}
	c, _ := open(t, clock.Now)
	s := Syncer(t, c)
	Add(t, c, reg.Host()+"/app")
	Sync(t, s)
	without := func(tags string) {
		reg.Answer(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/tags/list") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"tags": [` + tags + `]}`))
			return true
		})
	}
	const day = 24 * time.Hour
	clock.Add(day)
	app.Image("linux/amd64", "moved", "moves")
	without(`"moves", "stays", "late"`)
	Sync(t, s)
	clock.Add(300 * day)
	without(`"moves", "stays"`)
	Sync(t, s)
	clock.Add(day)
	o := catalog.PruneOptions{Gone: clock.Now().Add(-180 * day), History: clock.Now().Add(-365 * day), DryRun: true}
	want := catalog.Pruned{Names: 1, Variants: 2, Artifacts: 2, Bodies: 2, Manifests: 1}
	for range 2 {
		p, err := c.Prune(t.Context(), o)
		if err != nil || p != want {
			t.Errorf("dry run %t: %+v %v, want %+v", o.DryRun, p, err, want)
		}
		o.DryRun = false
	}
	if p, err := c.Prune(t.Context(), o); err != nil || p != (catalog.Pruned{}) {
		t.Errorf("again: %+v %v", p, err)
	}
	if got := Answer(t, c, reg.Host(), ""); got != "app:moves amd64, app:stays amd64" {
		t.Errorf("all: %s", got)
	}
	if got := Answer(t, c, reg.Host(), "requires cpu.cpuid.AVX2"); got != "app:stays amd64" {
		t.Errorf("requires: %s", got)
	}
	stats, err := c.Stats(t.Context())
	if err != nil || stats.Gone != 1 || stats.Bodies != 2 || stats.Moves != 1 {
		t.Errorf("what went not long ago, and its history: %+v %v", stats, err)
	}
	without(`"moves", "stays", "goes"`) // it comes back, with all that it needs
	if got := Sync(t, s); got.New != 1 || got.Same != 2 {
		t.Errorf("sync: %+v", got)
	}
	if got := Answer(t, c, reg.Host(), "requires mpi.host"); got != "app:goes amd64" {
		t.Errorf("what came back: %s", got)
	}
	o.History = clock.Now().Add(time.Second)
	if p, err := c.Prune(t.Context(), o); err != nil || p.Moves == 0 || p.Variants > 0 {
		t.Errorf("the history: %+v %v", p, err)
	}
}
