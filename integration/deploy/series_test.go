package deploy

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/metrics"
	"github.com/imagefit/imagefit/pkg/registry"
)

// le is the label that only the buckets of a histogram have.
const le = "le"

// series are the names of all metrics of the programs with their labels and the
// values of these, as Prometheus reads them.
func series(t *testing.T) map[string]map[string][]string {
	t.Helper()
	all := map[string]map[string][]string{}
	for _, program := range append(slices.Clone(decisionlog.Programs()), metrics.Controller) {
		answer := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		whole(t, program).Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, request)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		for name, family := range families {
			if all[name] == nil {
				all[name] = map[string][]string{}
			}
			for _, metric := range family.GetMetric() {
				if metric.GetHistogram() != nil {
					all[name][le] = nil
				}
				for _, label := range metric.GetLabel() {
					all[name][label.GetName()] = append(all[name][label.GetName()], label.GetValue())
				}
			}
		}
	}
	return all
}

// whole are the metrics of a program with all that they watch.
func whole(t *testing.T, program string) *metrics.Metrics {
	t.Helper()
	m := metrics.New(program, "v1.2.3")
	root := t.TempDir()
	m.WatchFacts(hostfacts.NewSource(t.Context(), hostfacts.NewRoot(root), nil))
	c, err := cache.Open(filepath.Join(root, "state"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m.WatchCache(c, metrics.Sizes(c))
	m.WatchChecks(func() (bool, map[string]bool) {
		return true, map[string]bool{"listening": true, "runtime": true, "nri": true, "facts": true, "state": true, "config": true, "clients": true}
	})
	m.WatchBreaker(func() registry.BreakerStats { return registry.BreakerStats{} })
	m.WatchAudit(func() *health.AuditStatus {
		verdicts := map[string]int{"refused": 0, "tolerated": 0, "unchecked": 0, "admitted": 0}
		return &health.AuditStatus{Containers: verdicts, Images: verdicts}
	})
	if program == metrics.Controller {
		m.WatchCluster(func() (int, time.Duration) { return 0, 0 }, func() (int, int, int) { return 0, 0, 0 }, func() bool { return false })
	}
	if program == decisionlog.Proxy {
		m.WatchCalls(func(each func(kind, code string, count uint64)) { each("unary", "OK", 7) })
	}
	if program == decisionlog.Plugin {
		m.WatchPlugin(func() (connected, lost uint64) { return 1, 0 })
	}
	return m
}
