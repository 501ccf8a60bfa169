package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imagefit/imagefit/pkg/decisionlog"
)

const (
	namespace = "imagefit"
	// other is the label of what the code did not foresee.
	other = "other"
	// maxScrapes is how many may read the metrics at the same time.
	maxScrapes = 4
)

// Metrics are those of one daemon. Its methods may be called from any number of
// goroutines.
type Metrics struct {
	registry *prometheus.Registry
	program  string

	decisions *prometheus.CounterVec
	cases     *prometheus.CounterVec
	decided   prometheus.Histogram
	pulls     *prometheus.HistogramVec
	admitted  prometheus.Histogram

	requests     *prometheus.CounterVec
	requestsTook *prometheus.HistogramVec

	reloads      *prometheus.CounterVec
	reloadWorked prometheus.Gauge
	configured   prometheus.Gauge
	logErrors    prometheus.Counter
}

// New returns the metrics of a program, one of decisionlog.Programs. What it can
// count is there from the start, as 0.
func New(program, version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), program: program}
	m.makeDecisions()
	m.makeRequests()
	m.makeConfig()
	build := gauge("build_info", "Which build this is: always 1.", "program", "version")
	build.WithLabelValues(program, version).Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.decisions, m.requests, m.requestsTook, m.reloads, m.reloadWorked, m.configured, m.logErrors)
	switch program {
	case decisionlog.Proxy:
		m.registry.MustRegister(m.cases, m.decided, m.pulls)
	case decisionlog.Plugin:
		m.registry.MustRegister(m.admitted)
	}
	return m
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}

func (m *Metrics) makeConfig() {
	m.reloads = counter("config_reloads_total", "How often the configuration was read anew, by result.", "result")
	for _, result := range []string{success, failure} {
		m.reloads.WithLabelValues(result)
	}
	m.reloadWorked = prometheus.NewGauge(prometheus.GaugeOpts(opts("config_last_reload_successful",
		"Whether the configuration that was read last holds; 0 where an older one does.")))
	m.configured = prometheus.NewGauge(prometheus.GaugeOpts(opts("config_last_success_timestamp_seconds",
		"When the configuration that holds was read.")))
	m.logErrors = prometheus.NewCounter(prometheus.CounterOpts(opts("journal_errors_total",
		"How often a decision could not be written to the journal in the state folder.")))
	m.reloadWorked.Set(1)
	m.configured.SetToCurrentTime()
}

// The results of reading the configuration.
const (
	success = "success"
	failure = "failure"
)

// Reloaded counts that the configuration was read anew.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues(failure).Inc()
		m.reloadWorked.Set(0)
		return
	}
	m.reloads.WithLabelValues(success).Inc()
	m.reloadWorked.Set(1)
	m.configured.SetToCurrentTime()
}

// DecisionLogFailed counts a decision that was not kept.
func (m *Metrics) DecisionLogFailed() { m.logErrors.Inc() }

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts(opts(name, help)), labels)
}

func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
}

func seconds(at time.Time) float64 { return float64(at.UnixNano()) / float64(time.Second) }
