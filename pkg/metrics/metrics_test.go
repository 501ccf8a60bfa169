package metrics

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whole are the metrics of a program with all that they export.
func whole(t *testing.T, program string) *Metrics {
	t.Helper()
	m := New(program, "v1.2.3")
	root := t.TempDir()
	m.WatchFacts(hostfacts.NewSource(t.Context(), hostfacts.NewRoot(root), nil))
	c, err := cache.Open(filepath.Join(root, "state"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m.WatchCache(c, Sizes(c))
	m.WatchChecks(func() (bool, map[string]bool) {
		return false, map[string]bool{"listening": true, "runtime": false, "nri": true, "facts": true, "state": true}
	})
	m.WatchBreaker(func() registry.BreakerStats {
		return registry.BreakerStats{Silent: make([]registry.SilentHost, 2), Trips: 3, Skips: 4}
	})
	m.WatchAudit(func() *health.AuditStatus {
		return &health.AuditStatus{Containers: map[string]int{"refused": 1, "admitted": 4}, Images: map[string]int{"unchecked": 2}}
	})
	if program == decisionlog.Proxy {
		m.WatchCalls(func(each func(kind, code string, count uint64)) { each("unary", "OK", 7) })
	}
	if program == decisionlog.Plugin {
		m.WatchPlugin(func() (connected, lost uint64) { return 2, 1 })
	}
	return m
}

// scrape is what Prometheus reads.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(answer.Result().Body)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("answer %d, %v: %s", answer.Code, err, body)
	}
	return string(body)
}

// wantLines sees to it that each line is among those that Prometheus reads.
func wantLines(t *testing.T, m *Metrics, want ...string) {
	t.Helper()
	text := scrape(t, m)
	for _, line := range want {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, ours(text))
		}
	}
}

func ours(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "imagefit_") && !strings.Contains(line, "_bucket{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestMetricsFollowTheConventionsOfPrometheus(t *testing.T) {
	t.Parallel()
	for _, program := range decisionlog.Programs() {
		problems, err := testutil.GatherAndLint(whole(t, program).registry)
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, namespace) {
				t.Errorf("%s: %s: %s", program, p.Metric, p.Text)
			}
		}
	}
}

// le is the label that only the buckets of a histogram have.
const le = "le"

// series are the names of all metrics of both programs with their labels and
// the values of these.
func series(t *testing.T) map[string]map[string][]string {
	t.Helper()
	all := map[string]map[string][]string{}
	for _, program := range decisionlog.Programs() {
		families, err := whole(t, program).registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if all[f.GetName()] == nil {
				all[f.GetName()] = map[string][]string{}
			}
			for _, m := range f.GetMetric() {
				if m.GetHistogram() != nil {
					all[f.GetName()][le] = nil
				}
				for _, l := range m.GetLabel() {
					values := all[f.GetName()]
					values[l.GetName()] = append(values[l.GetName()], l.GetValue())
				}
			}
		}
	}
	return all
}

// TestEveryMetricIsDocumented: docs/operations.md has a row for each metric, with
// its labels, and no other.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(imagefit_[a-z_]+)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		rows[row[1]] = row[2]
	}
	known := series(t)
	for name, labels := range known {
		if !strings.HasPrefix(name, namespace) {
			continue
		}
		row, ok := rows[name]
		if !ok {
			t.Errorf("docs/operations.md has no row for %s", name)
		}
		var want []string
		delete(labels, le)
		for _, l := range slices.Sorted(maps.Keys(labels)) {
			want = append(want, "`"+l+"`")
		}
		if got := strings.Fields(strings.ReplaceAll(row, ",", " ")); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("docs/operations.md gives %s the labels %v, want %v", name, got, want)
		}
	}
	for _, mentioned := range regexp.MustCompile(`imagefit_[a-z_]+`).FindAllString(string(text), -1) {
		if _, ok := known[mentioned]; !ok {
			t.Errorf("docs/operations.md has %s, which is not a metric", mentioned)
		}
	}
}

func TestSeriesAreExportedFromTheStart(t *testing.T) {
	t.Parallel()
	wantLines(t, whole(t, decisionlog.Proxy),
		`imagefit_build_info{program="cri-proxy",version="v1.2.3"} 1`,
		`imagefit_decisions_total{action="pulled",program="cri-proxy",would="nothing"} 0`,
		`imagefit_decisions_total{action="forwarded",program="cri-proxy",would="refused"} 0`,
		`imagefit_policy_cases_total{answer="refuse",key="no_fit"} 0`,
		`imagefit_policy_cases_total{answer="tag",key="no_referrers_api"} 0`,
		`imagefit_pull_duration_seconds_count{action="failed"} 0`,
		`imagefit_registry_requests_total{op="list_referrers",result="timeout"} 0`,
		`imagefit_config_reloads_total{result="failure"} 0`,
		`imagefit_config_last_reload_successful 1`,
		`imagefit_journal_errors_total 0`,
		`imagefit_cri_calls_total{code="OK",kind="unary"} 7`,
		`imagefit_registry_breaker_open 2`,
		`imagefit_registry_breaker_trips_total 3`,
		`imagefit_registry_breaker_skips_total 4`,
		`imagefit_ready 0`,
		`imagefit_check_passing{check="facts"} 1`,
		`imagefit_check_passing{check="runtime"} 0`,
		`imagefit_facts_changes_total 0`,
		`imagefit_cache_files{kind="objects"} 0`,
		`imagefit_cache_limit_bytes 1.048576e+06`,
		`imagefit_cache_lookups_total{kind="images",result="miss"} 0`,
	)
	plugin := scrape(t, whole(t, decisionlog.Plugin))
	for _, foreign := range []string{"imagefit_pull_", "imagefit_cri_", `action="pulled"`} {
		if strings.Contains(plugin, foreign) {
			t.Errorf("the plugin has %s", foreign)
		}
	}
}

func TestRecordsAreCountedByKnownLabels(t *testing.T) {
	t.Parallel()
	m := New(decisionlog.Proxy, "")
	m.Record(decisionlog.Record{
		Action: policy.Pulled, ReasonCode: policy.OneCandidate, Took: 2 * time.Second, Decided: 20 * time.Millisecond,
		Cases: []policy.Case{{Key: "no_artifact", Answer: "select"}, {Key: "unknown_attribute", Answer: "ignore"}},
	})
	m.Record(decisionlog.Record{Action: policy.Forwarded, Would: policy.Refused, Took: time.Second, Cases: []policy.Case{{Key: "no_fit", Answer: "refuse"}}})
	m.Record(decisionlog.Record{Action: "app:1", ReasonCode: "sha256:00", Would: "sha256:00", Cases: []policy.Case{{Key: "pod-0", Answer: "x"}, {Key: "mode", Answer: "audit"}}})
	wantLines(t, m,
		`imagefit_decisions_total{action="pulled",program="cri-proxy",would="nothing"} 1`,
		`imagefit_decisions_total{action="forwarded",program="cri-proxy",would="refused"} 1`,
		`imagefit_decisions_total{action="other",program="cri-proxy",would="other"} 1`,
		`imagefit_policy_cases_total{answer="select",key="no_artifact"} 1`,
		`imagefit_pulls_total{reason="one_candidate"} 1`,
		`imagefit_pulls_total{reason="no_fit"} 0`,
		`imagefit_pulls_total{reason="other"} 2`,
		`imagefit_policy_cases_total{answer="ignore",key="unknown_attribute"} 1`,
		`imagefit_policy_cases_total{answer="refuse",key="no_fit"} 1`,
		`imagefit_policy_cases_total{answer="other",key="other"} 2`,
		`imagefit_pull_duration_seconds_sum{action="pulled"} 2`,
		`imagefit_decision_duration_seconds_count 1`,
		`imagefit_decision_duration_seconds_sum 0.02`,
	)
	if got := m.Decisions(); got["pulled"] != 1 || got["forwarded"] != 1 || got["refused"] != 0 || got["other"] != 1 {
		t.Errorf("decisions %v", got)
	}
	plugin := New(decisionlog.Plugin, "")
	plugin.Record(decisionlog.Record{Action: policy.Admitted, Would: policy.Refused, Took: 3 * time.Second})
	plugin.Record(decisionlog.Record{Action: policy.Admitted, ReasonCode: policy.OtherName, Cases: []policy.Case{{Key: "unknown_name", Answer: "admit"}}})
	plugin.Record(decisionlog.Record{Action: policy.Admitted, ReasonCode: "stray"})
	wantLines(t, plugin, `imagefit_decisions_total{action="admitted",program="nri-plugin",would="refused"} 1`,
		`imagefit_admissions_unchecked_total{reason="other_name"} 1`, `imagefit_admissions_unchecked_total{reason="image_not_known"} 0`,
		`imagefit_policy_cases_total{answer="admit",key="unknown_name"} 1`,
		`imagefit_admission_duration_seconds_sum 3`)
}

func TestReloadsAreCountedByResult(t *testing.T) {
	t.Parallel()
	m := New(decisionlog.Plugin, "")
	before := testutil.ToFloat64(m.reloadedAt)
	m.Reloaded(errors.New("x"))
	m.DecisionLogFailed()
	wantLines(t, m, `imagefit_config_reloads_total{result="failure"} 1`, `imagefit_config_last_reload_successful 0`, `imagefit_journal_errors_total 1`)
	if testutil.ToFloat64(m.reloadedAt) != before {
		t.Error("a failure is counted as a success")
	}
	m.Reloaded(nil)
	wantLines(t, m, `imagefit_config_reloads_total{result="success"} 1`, `imagefit_config_last_reload_successful 1`)
	if testutil.ToFloat64(m.reloadedAt) < before {
		t.Error("the time went back")
	}
}

// TestSeriesAreBoundedWhateverIsRecorded: by the constants of the code.
func TestSeriesAreBoundedWhateverIsRecorded(t *testing.T) {
	t.Parallel()
	m := New(decisionlog.Proxy, "")
	count := func() int { return strings.Count(ours(scrape(t, m)), "\n") }
	stray := func(from, to int) {
		for i := range to - from {
			name := fmt.Sprint("registry.example/app:", from+i)
			m.Record(decisionlog.Record{
				Action: policy.Action(name), Would: policy.Action(name), Reference: name, Namespace: name, Pod: name,
				Cases: []policy.Case{{Key: name, Answer: name}},
			})
			m.Request(name, errors.New(name), 0)
		}
	}
	stray(0, 1)
	before := count()
	stray(1, 100)
	if after := count(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	if strings.Contains(scrape(t, m), "example") {
		t.Error("a reference is in a label")
	}
}

func TestSizesAreReusedForAWhile(t *testing.T) {
	t.Parallel()
	c, err := cache.Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	sizes := Sizes(c)
	if got, err := sizes(); err != nil || got["images"].Files != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.PutImage(digest.FromString("x").String(), "y"); err != nil {
		t.Fatal(err)
	}
	if got, _ := sizes(); got["images"].Files != 0 {
		t.Error("every scrape measures every file")
	}
	if got, err := Sizes(c)(); err != nil || got["images"].Files != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
