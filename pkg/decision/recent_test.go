package decision

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/facts"
)

// TestADecisionIsReusedUntilSomethingItRestsOnChanges decides again and again while one thing after the other
// changes that the first decision rests on.
func TestADecisionIsReusedUntilSomethingItRestsOnChanges(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	index := pushLevels(r)
	known := testkit.Node(3)
	resolver := newTestResolver(t, r, known)
	resolver.facts = func() *facts.Facts { return known }
	first := decide(t, resolver, app)
	r.Requests()
	if again := decide(t, resolver, app); again.Time != first.Time || len(again.Read) > 0 {
		t.Error("decided again although nothing changed, or remembered what was read")
	}
	if asked := r.Requests(); !slices.Equal(asked, []string{"HEAD manifests/1"}) {
		t.Errorf("asked %q", asked)
	}
	changes := []struct {
		name   string
		change func()
		want   string
	}{
		{"the facts", func() { known = testkit.Node(1) }, "linux/amd64"},
		{"the rules", func() { known = testkit.Node(3); change(resolver, func(r *Rules) { r.Policy.NoFit = "forward" }) }, "linux/amd64/v3"},
		{"the tag", func() { r.Index("1", r.Image("linux/amd64", "other")) }, "linux/amd64"},
	}
	last := first
	for _, step := range changes {
		step.change()
		d := decide(t, resolver, app)
		if d == last || chosen(d) != step.want {
			t.Errorf("%s changed: %s, the same: %t", step.name, chosen(d), d == last)
		}
		last = d
	}
	if d := decide(t, resolver, "registry.example/app@"+index.Digest.String()); d == first || d.Reference == first.Reference {
		t.Error("a decision about one reference was given out for another")
	}
}

// A decision is good no longer than the lists it rests on.
func TestADecisionIsReusedNoLongerThanItsListsAreCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newRecent()
		h, d, start := Snapshot{Rules: &Rules{}, Facts: testkit.Node(1)}, &Decision{}, time.Now()
		current := validUntil{at: start.Add(time.Hour)}
		current.lower(start.Add(time.Minute))
		current.lower(start.Add(time.Hour))
		m.put("x", d, h, start, current.time())
		for _, test := range []struct {
			after time.Duration
			want  bool
		}{{0, true}, {time.Minute - 1, true}, {time.Minute, false}, {-time.Second, false}} {
			if got := m.get("x", h, start.Add(test.after)) == d; got != test.want {
				t.Errorf("after %s: %t", test.after, got)
			}
		}
		m.put("y", d, h, start, start)
		if m.get("y", h, start) != nil {
			t.Error("a decision on lists that are out of date was kept")
		}
	})
}

// What many large decisions rest on is not all kept.
func TestRememberedDecisionsAreBounded(t *testing.T) {
	t.Parallel()
	m := newRecent()
	h, start := Snapshot{Rules: &Rules{}, Facts: testkit.Node(1)}, time.Now()
	least := (&Decision{}).size()
	put := func(key string, size int64) {
		d := &Decision{Reason: strings.Repeat("x", int(size-least))}
		m.put(key, d, h, start, start.Add(time.Hour))
	}
	has := func(key string) bool { return m.get(key, h, start) != nil }
	put("too large", maxRecentOne+1)
	put("a", maxRecentOne)
	for range 5 {
		put("b", maxRecentOne)
	}
	if has("too large") || !has("a") || !has("b") || m.size != 2*maxRecentOne {
		t.Errorf("kept: too large %t, a %t, b %t", has("too large"), has("a"), has("b"))
	}
	for i := range maxRecentSize / maxRecentOne {
		put(fmt.Sprint(i), maxRecentOne)
	}
	if has("a") || has("b") || !has("0") || m.size != maxRecentSize {
		t.Errorf("kept: a %t, b %t, 0 %t, of %d bytes", has("a"), has("b"), has("0"), m.size)
	}
	for i := range 3 * maxRecent {
		put(fmt.Sprint(i), least)
	}
	if n := m.lru.Len(); n != maxRecent || m.size != maxRecent*least {
		t.Errorf("kept: %d decisions of %d bytes", n, m.size)
	}
}

// TestADecisionIsMadeAgainWhenItsBodiesAreGone has the bodies of artifacts go away under a decision, or
// come damaged: admission needs them, and a pull is what brings them back.
func TestADecisionIsMadeAgainWhenItsBodiesAreGone(t *testing.T) {
	t.Parallel()
	const id = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Index("1", image)
	r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
	resolver := newTestResolver(t, r, testkit.Node(1))
	dir := t.TempDir()
	var err error
	if resolver.cache, err = cache.Open(dir, 64<<20); err != nil {
		t.Fatal(err)
	}
	damage := true
	r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
		hit := damage && strings.Contains(req.URL.Path, "/blobs/")
		if hit {
			_, _ = w.Write([]byte("<html>"))
		}
		return hit
	})
	remember := func(want string) {
		t.Helper()
		d := decide(t, resolver, app)
		if got := d.Candidates[0].Outcome.String(); got != want {
			t.Errorf("decided %s, want %s", got, want)
		}
		if err := resolver.Remember(id, d, 0); err != nil {
			t.Fatal(err)
		}
		if verdict, err := recall(resolver, id, ""); err != nil || verdict.Outcome.String() != want {
			t.Errorf("recalled %s, %v, want %s", verdict.Outcome, err, want)
		}
	}
	remember("unknown")
	damage = false
	remember("does not fit")
	remember("does not fit")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	remember("does not fit")
}
