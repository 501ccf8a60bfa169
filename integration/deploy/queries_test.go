package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"go.yaml.in/yaml/v3"
)

// target are the labels that Prometheus gives to every series.
var target = []string{"job", "instance"}

// alerts reads deploy/prometheus, and fails for keys that Prometheus would not
// take.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open("../../deploy/prometheus/imagefit.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, group := range rules.Groups {
		for _, r := range group.Rules {
			if all[r.Alert] != "" || r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %q is there twice, or lacks a severity, summary or description", r.Alert)
			}
			all[r.Alert] = r.Expr
		}
	}
	return all
}

// dashboards are the files of deploy/grafana.
func dashboards() []string {
	return []string{"../../deploy/grafana/imagefit.json", "../../deploy/grafana/imagefit-controller.json"}
}

// panels reads a dashboard: the queries by the panel's title.
func panels(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	queries, ids := map[string][]string{}, map[int]bool{}
	macros := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")
	for _, p := range dashboard.Panels {
		if ids[p.ID] || queries[p.Title] != nil || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q is there twice or has no query", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			queries[p.Title] = append(queries[p.Title], macros.Replace(target.Expr))
		}
	}
	for _, v := range dashboard.Templating.List {
		if inner, ok := strings.CutPrefix(v.Query, "label_values("); ok {
			metric, label, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ", ")
			queries[v.Name] = []string{fmt.Sprintf("count by (%s) (%s)", label, metric)}
		}
	}
	return queries
}

// The types are those that Grafana's own libraries are made of.
func TestDashboardIsAsGrafanaReadsIt(t *testing.T) {
	t.Parallel()
	plugins.RegisterDefaultPlugins()
	mistakes := func(text []byte) string { // the error has a text for each; it is never nil
		//nolint:staticcheck // the file is of this version, which every Grafana imports
		return fmt.Sprint(new(dashboard.Dashboard).UnmarshalJSONStrict(text))
	}
	for _, file := range dashboards() {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := mistakes(text); found != "" && found != "<nil>" {
			t.Errorf("%s: %s", file, found)
		}
		if found := mistakes(bytes.Replace(text, []byte(`"gridPos"`), []byte(`"gridPosition"`), 1)); !strings.Contains(found, "gridPosition") {
			t.Errorf("%s: a key that Grafana does not know: %q", file, found)
		}
	}
}

func TestAlertsAndDashboardAskOnlyForMetricsThatExist(t *testing.T) {
	t.Parallel()
	known := series(t)
	for alert, expr := range alerts(t) {
		for _, problem := range problems(expr, known) {
			t.Errorf("alert %s: %s", alert, problem)
		}
	}
	for _, file := range dashboards() {
		for panel, queries := range panels(t, file) {
			for _, expr := range queries {
				for _, problem := range problems(expr, known) {
					t.Errorf("%s, panel %q: %s", file, panel, problem)
				}
			}
		}
	}
}

func TestOperationsSaysWhatToDoAboutEachAlert(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	known := alerts(t)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(Imagefit[A-Za-z]+)` \\| .").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
		if known[row[1]] == "" {
			t.Errorf("docs/operations.md has %s, and there is no such alert", row[1])
		}
	}
	for alert := range known {
		if !slices.Contains(documented, alert) {
			t.Errorf("docs/operations.md does not say what to do about %s", alert)
		}
	}
}

// problems checks a query against the series that exist. The parser also accepts
// what Prometheus does not; that is a problem here.
func problems(expr string, known map[string]map[string][]string) (all []string) {
	parsed, err := metricsql.Parse(expr)
	if err != nil {
		return []string{fmt.Sprintf("%q: %v", expr, err)}
	}
	note := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			all = append(all, selectorProblems(e, known)...)
		case *metricsql.FuncExpr:
			functionProblems(e, note)
		case *metricsql.AggrFuncExpr:
			if !slices.Contains([]string{"sum", "max", "min", "avg", "count", "topk"}, e.Name) || e.Limit > 0 {
				note("%s is not one of the aggregations used here", e.Name)
			}
			labelProblems(e.Modifier.Args, e, known, note)
		case *metricsql.BinaryOpExpr:
			labelProblems(e.GroupModifier.Args, e, known, note)
			if e.KeepMetricNames || slices.Contains([]string{"default", "if", "ifnot"}, e.Op) {
				note("Prometheus has no operator %s", e.Op)
			}
		}
	})
	return all
}

func functionProblems(f *metricsql.FuncExpr, note func(string, ...any)) {
	switch f.Name {
	case "rate", "increase":
		rollup, ok := f.Args[0].(*metricsql.RollupExpr)
		if !ok || rollup.Window == nil || rollup.Step != nil {
			note("%s needs a range such as [5m]", f.Name)
		}
	case "time", "histogram_quantile":
	default:
		note("%s is not one of the functions used here", f.Name)
	}
}

// labelProblems lists labels that none of the series below has.
func labelProblems(labels []string, below metricsql.Expr, known map[string]map[string][]string, note func(string, ...any)) {
	for _, label := range labels {
		found := slices.Contains(target, label)
		metricsql.VisitAll(below, func(e metricsql.Expr) {
			if m, ok := e.(*metricsql.MetricExpr); ok {
				_, has := labelsOf(m, known)[label]
				found = found || has
			}
		})
		if !found {
			note("nothing has the label %s", label)
		}
	}
}

// labelsOf returns nil for a metric that does not exist.
func labelsOf(m *metricsql.MetricExpr, known map[string]map[string][]string) map[string][]string {
	if len(m.LabelFilterss) != 1 || len(m.LabelFilterss[0]) == 0 || m.LabelFilterss[0][0].Label != "__name__" {
		return nil
	}
	name := m.LabelFilterss[0][0].Value
	base, bucket := strings.CutSuffix(name, "_bucket")
	if _, ok := known[base][le]; ok != bucket {
		return nil
	}
	return known[base]
}

func selectorProblems(m *metricsql.MetricExpr, known map[string]map[string][]string) (all []string) {
	text := string(m.AppendString(nil))
	labels := labelsOf(m, known)
	if labels == nil {
		return []string{text + " does not exist"}
	}
	for _, f := range m.LabelFilterss[0][1:] {
		values, ok := labels[f.Label]
		switch {
		case slices.Contains(target, f.Label):
		case !ok:
			all = append(all, text+" has no label "+f.Label)
		default:
			for word := range strings.SplitSeq(f.Value, "|") {
				if !slices.Contains(values, word) {
					all = append(all, fmt.Sprintf("%s: %s is never %q", text, f.Label, word))
				}
			}
		}
	}
	return all
}

func TestMistakesInQueriesAreFound(t *testing.T) {
	t.Parallel()
	known := series(t)
	for expr, want := range map[string]string{
		`imagefit_ready == 0`: "",
		`sum by (job, action) (rate(imagefit_decisions_total{would!="nothing"}[5m]))`: "",
		`imagefit_redy == 0`:                                             "does not exist",
		`imagefit_decisions_total{pod="x"}`:                              "no label pod",
		`imagefit_decisions_total{action="refuse"}`:                      `never "refuse"`,
		`imagefit_decisions_total{action=~"refused|unfitt"}`:             `never "unfitt"`,
		`rate(imagefit_decisions_total)`:                                 "needs a range",
		`sum by (pod) (imagefit_ready)`:                                  "label pod",
		`imagefit_ready == `:                                             "imagefit_ready ==",
		`median_over_time(imagefit_ready[5m])`:                           "not one of the functions",
		`imagefit_ready and on (pod) imagefit_ready`:                     "label pod",
		`imagefit_ready default 1`:                                       "no operator",
		`sum by (le) (rate(imagefit_ready_bucket[5m]))`:                  "does not exist",
		`sum by (le) (rate(imagefit_pull_duration_seconds_bucket[10m]))`: "",
	} {
		got := strings.Join(problems(expr, known), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
