package metrics

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imagefit/imagefit/pkg/policy"
)

const (
	namespace = "imagefit"
	// other is the label value of anything that the code does not expect.
	other = "other"
	// maxScrapes bounds concurrent scrapes.
	maxScrapes = 4
)

// Metrics are those of one daemon. Its methods may be called from any number of
// goroutines.
type Metrics struct {
	registry *prometheus.Registry
	program  string

	decisions *prometheus.CounterVec
	trust     *prometheus.CounterVec
	mu        sync.Mutex
	byAction  map[string]uint64 // decisions
	cases     *prometheus.CounterVec
	known     map[policy.Case]bool // those that cases counts by name
	decided   prometheus.Histogram
	pulls     *prometheus.HistogramVec
	admitted  prometheus.Histogram
	unchecked *prometheus.CounterVec
	warnings  prometheus.Counter

	pullReasons *prometheus.CounterVec

	requests     *prometheus.CounterVec
	requestsTook *prometheus.HistogramVec

	reloads      *prometheus.CounterVec
	reloadWorked prometheus.Gauge
	reloadedAt   prometheus.Gauge
	logErrors    prometheus.Counter
	fallbacks    prometheus.Counter

	placements placements
}

// New returns the metrics of a program, one of decisionlog.Programs. All series
// are initialised to 0.
func New(program, version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), program: program}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.all().NewGaugeVec(prometheus.GaugeOpts(opts("build_info", "Version of the program; always 1.")), []string{"program", "version"}).
		WithLabelValues(program, version).Set(1)
	m.makeDecisions()
	m.makeTrust()
	m.makeRequests()
	m.makeConfig()
	m.makePlacements()
	return m
}

// all registers metrics that each program has.
func (m *Metrics) all() promauto.Factory { return promauto.With(m.registry) }

// only registers metrics of one program. Another program has them as well, and
// does not export them.
func (m *Metrics) only(program string) promauto.Factory {
	if m.program == program {
		return m.all()
	}
	return promauto.With(nil)
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}

// The results of a configuration reload.
const (
	success = "success"
	failure = "failure"
)

func (m *Metrics) makeConfig() {
	m.reloads = m.all().NewCounterVec(prometheus.CounterOpts(opts("config_reloads_total",
		"Configuration reloads, by result.")), []string{"result"})
	for _, result := range []string{success, failure} {
		m.reloads.WithLabelValues(result)
	}
	m.reloadWorked = m.all().NewGauge(prometheus.GaugeOpts(opts("config_last_reload_successful",
		"Whether the configuration on disk is in use.")))
	m.reloadedAt = m.all().NewGauge(prometheus.GaugeOpts(opts("config_last_success_timestamp_seconds",
		"Time when the configuration in effect was loaded.")))
	m.logErrors = m.all().NewCounter(prometheus.CounterOpts(opts("journal_errors_total",
		"Decisions that could not be written to the decision log.")))
	m.reloadWorked.Set(1)
	m.reloadedAt.SetToCurrentTime()
}

// Reloaded counts a configuration reload.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues(failure).Inc()
		m.reloadWorked.Set(0)
		return
	}
	m.reloads.WithLabelValues(success).Inc()
	m.reloadWorked.Set(1)
	m.reloadedAt.SetToCurrentTime()
}

// DecisionLogFailed counts a decision that could not be written to the log.
func (m *Metrics) DecisionLogFailed() { m.logErrors.Inc() }

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
}

func histogram(name, help string, buckets ...float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
}
