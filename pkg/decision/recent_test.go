package decision

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// TestRecentDecision decides again and again while one thing after the other
// changes that the first decision rests on.
func TestRecentDecision(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	index := pushLevels(r)
	facts := levelFacts(3)
	road := newTestRoad(t, r, facts)
	road.Facts = func() *hostfacts.Facts { return facts }
	first := decide(t, road, app)
	r.requests()
	if again := decide(t, road, app); again != first {
		t.Error("decided anew although nothing changed")
	}
	if asked := r.requests(); !slices.Equal(asked, []string{"HEAD manifests/1"}) {
		t.Errorf("asked %q", asked)
	}
	changes := []struct {
		name   string
		change func()
		want   string
	}{
		{"the facts", func() { facts = levelFacts(1) }, "linux/amd64"},
		{"the rules", func() { facts = levelFacts(3); change(road, func(r *Rules) { r.Policy.NoFit = "forward" }) }, "linux/amd64/v3"},
		{"the tag", func() { r.index("1", r.image("linux/amd64", "other")) }, "linux/amd64"},
	}
	last := first
	for _, step := range changes {
		step.change()
		d := decide(t, road, app)
		if d == last || chosen(d) != step.want {
			t.Errorf("%s changed: %s, the same: %t", step.name, chosen(d), d == last)
		}
		last = d
	}
	if d := decide(t, road, "registry.example/app@"+index.Digest.String()); d == first || d.Reference == first.Reference {
		t.Error("a decision about one reference was given out for another")
	}
}

// TestRecentExpires: a decision is good no longer than the lists it rests on.
func TestRecentExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m recent
		h, d, start := &hearing{rules: &Rules{}, facts: levelFacts(1)}, &Decision{}, time.Now()
		current := horizon{at: start.Add(time.Hour)}
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
