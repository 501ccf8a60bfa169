package metrics

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func controllerMetrics() *Metrics {
	m := New(Controller, "v1.2.3")
	m.WatchCluster(func() (int, time.Duration) { return 2, 3 * time.Second }, func() (int, int, int) { return 10, 7, 2 }, func() bool { return true })
	return m
}

// TestControllerMetricsAreDocumented: docs/kubernetes.md has a row for each that only the
// controller has, and no other.
func TestControllerMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	m := controllerMetrics()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	common, err := New("imagefit-other", "v1").registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range families {
		known[f.GetName()] = strings.HasPrefix(f.GetName(), namespace)
	}
	for _, f := range common {
		delete(known, f.GetName())
	}
	maps.DeleteFunc(known, func(_ string, ours bool) bool { return !ours })
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(imagefit_[a-z_]+)` ").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, row[1])
	}
	slices.Sort(rows)
	if want := slices.Sorted(maps.Keys(known)); !slices.Equal(rows, want) {
		t.Errorf("docs/kubernetes.md has the metrics\n%v, want\n%v", rows, want)
	}
}

func TestControllerMetricsFollowTheConventionsOfPrometheus(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(controllerMetrics().registry)
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestPlacementsAreCounted(t *testing.T) {
	t.Parallel()
	m := controllerMetrics()
	for _, result := range PlacementResults() {
		m.Placed(result, time.Second)
	}
	m.Placed("none_fits", time.Second)
	m.LookedUp(os.ErrNotExist, time.Second)
	m.Drifted()
	if got := testutil.ToFloat64(m.placements.placed.WithLabelValues("none_fits")); got != 2 {
		t.Errorf("%v pods that fit nowhere", got)
	}
	if got := testutil.ToFloat64(m.placements.lookups.WithLabelValues(failure)); got != 1 {
		t.Errorf("%v failed lookups", got)
	}
}
