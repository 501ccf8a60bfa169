package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/registry"
)

// WatchFacts exports how old the facts are and how often they changed.
func (m *Metrics) WatchFacts(facts *hostfacts.Source) {
	m.all().NewGaugeFunc(prometheus.GaugeOpts(opts("facts_last_refresh_timestamp_seconds",
		"Time of the last refresh of the node's facts.")),
		func() float64 { return float64(facts.Refreshed().UnixNano()) / float64(time.Second) })
	m.all().NewCounterFunc(prometheus.CounterOpts(opts("facts_changes_total",
		"Refreshes that changed the node's facts.")),
		func() float64 { return float64(facts.Changes()) })
}

// collector makes metrics when they are scraped.
type collector func(out chan<- prometheus.Metric)

// Describe implements prometheus.Collector, unchecked: names are checked by tests.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) { c(out) }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// WatchCalls exports the CRI calls that criproxy.Server.Served counts.
func (m *Metrics) WatchCalls(served func(each func(kind, code string, count uint64))) {
	calls := desc("cri_calls_total", "Completed CRI calls, by how they are served and gRPC code.", "kind", "code")
	m.registry.MustRegister(collector(func(out chan<- prometheus.Metric) {
		served(func(kind, code string, count uint64) {
			out <- prometheus.MustNewConstMetric(calls, prometheus.CounterValue, float64(count), kind, code)
		})
	}))
}

// WatchBreaker exports how many registry hosts do not answer, and what that prevents.
func (m *Metrics) WatchBreaker(stats func() registry.BreakerStats) {
	open := desc("registry_breaker_open", "Registry hosts that pulls do not wait for to list referrers now.")
	trips := desc("registry_breaker_trips_total", "How often a registry host did not list referrers in time.")
	skips := desc("registry_breaker_skips_total", "Requests for referrers that were not made because the host did not answer before.")
	m.registry.MustRegister(collector(func(out chan<- prometheus.Metric) {
		s := stats()
		out <- prometheus.MustNewConstMetric(open, prometheus.GaugeValue, float64(len(s.Silent)))
		out <- prometheus.MustNewConstMetric(trips, prometheus.CounterValue, float64(s.Trips))
		out <- prometheus.MustNewConstMetric(skips, prometheus.CounterValue, float64(s.Skips))
	}))
}

// WatchPlugin exports how often nri-plugin was connected to the runtime, and how often the
// runtime ended that.
func (m *Metrics) WatchPlugin(sessions func() (connected, lost uint64)) {
	m.all().NewCounterFunc(prometheus.CounterOpts(opts("nri_sessions_total",
		"How often the runtime synchronized nri-plugin.")),
		func() float64 { connected, _ := sessions(); return float64(connected) })
	m.all().NewCounterFunc(prometheus.CounterOpts(opts("nri_disconnects_total",
		"How often the runtime closed the connection to nri-plugin.")),
		func() float64 { _, lost := sessions(); return float64(lost) })
}

// WatchAudit exports what the last audit found about the containers that run on the node and
// its images. Before the first audit there is nothing.
func (m *Metrics) WatchAudit(last func() *health.AuditStatus) {
	containers := desc("audit_containers", "Containers that run on the node, by whether they would be admitted now.", "verdict")
	images := desc("audit_images", "Names of images on the node, by whether a container of them would be admitted now.", "verdict")
	at := desc("audit_timestamp_seconds", "Time of the last audit of the running containers.")
	m.registry.MustRegister(collector(func(out chan<- prometheus.Metric) {
		found := last()
		if found == nil {
			return
		}
		out <- prometheus.MustNewConstMetric(at, prometheus.GaugeValue, float64(found.Time.UnixNano())/float64(time.Second))
		for verdict, n := range found.Containers {
			out <- prometheus.MustNewConstMetric(containers, prometheus.GaugeValue, float64(n), verdict)
		}
		for verdict, n := range found.Images {
			out <- prometheus.MustNewConstMetric(images, prometheus.GaugeValue, float64(n), verdict)
		}
	}))
}

// WatchChecks exports whether the daemon is ready and which of its checks pass.
func (m *Metrics) WatchChecks(run func() (ready bool, checks map[string]bool)) {
	ready := desc("ready", "Whether /readyz reports the daemon as ready.")
	passing := desc("check_passing", "Whether a check of /readyz passes.", "check")
	m.registry.MustRegister(collector(func(out chan<- prometheus.Metric) {
		all, checks := run()
		out <- prometheus.MustNewConstMetric(ready, prometheus.GaugeValue, number(all))
		for name, passes := range checks {
			out <- prometheus.MustNewConstMetric(passing, prometheus.GaugeValue, number(passes), name)
		}
	}))
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// sizesAge is how long sizes are reused: measuring looks at every file.
const sizesAge = 30 * time.Second

// Sizes returns a function that measures the directories of the cache, at most
// every half minute.
func Sizes(c *cache.Cache) func() (map[string]cache.Size, error) {
	var mu sync.Mutex
	var at time.Time
	var sizes map[string]cache.Size
	var err error
	return func() (map[string]cache.Size, error) {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) > sizesAge {
			sizes, err = c.Sizes()
			at = time.Now()
		}
		return sizes, err
	}
}

// WatchCache exports what is in the state directory and how often it is used.
func (m *Metrics) WatchCache(c *cache.Cache, sizes func() (map[string]cache.Size, error)) {
	files := desc("cache_files", "Files in the state directory, by kind.", "kind")
	bytes := desc("cache_size_bytes", "Size of the files in the state directory, by kind.", "kind")
	limit := desc("cache_limit_bytes", "Maximum size of all files in the state directory.")
	lookups := desc("cache_lookups_total", "Lookups in the state directory by this daemon, by kind and result.", "kind", "result")
	m.registry.MustRegister(collector(func(out chan<- prometheus.Metric) {
		out <- prometheus.MustNewConstMetric(limit, prometheus.GaugeValue, float64(c.Limit()))
		for _, kind := range cache.Kinds() {
			uses := c.Uses(kind)
			out <- prometheus.MustNewConstMetric(lookups, prometheus.CounterValue, float64(uses.Hits), kind, "hit")
			out <- prometheus.MustNewConstMetric(lookups, prometheus.CounterValue, float64(uses.Misses), kind, "miss")
		}
		found, err := sizes()
		if err != nil { // no value rather than a wrong one
			return
		}
		for kind, size := range found {
			out <- prometheus.MustNewConstMetric(files, prometheus.GaugeValue, float64(size.Files), kind)
			out <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(size.Bytes), kind)
		}
	}))
}
