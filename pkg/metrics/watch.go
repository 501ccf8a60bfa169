package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// WatchFacts shows how old the facts are and how often they changed.
func (m *Metrics) WatchFacts(facts *hostfacts.Source) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("facts_last_refresh_timestamp_seconds",
			"When the facts of this node were collected last.")),
			func() float64 { return seconds(facts.Refreshed()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts(opts("facts_changes_total",
			"How often the facts of this node were others than before.")),
			func() float64 { return float64(facts.Changes()) }),
	)
}

// collector makes metrics when they are read.
type collector struct {
	descs   []*prometheus.Desc
	collect func(out chan<- prometheus.Metric)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) { c.collect(out) }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// WatchCalls shows the CRI calls that were served, as criproxy.Server.Served
// counts them.
func (m *Metrics) WatchCalls(served func(each func(kind, code string, count uint64))) {
	calls := desc("cri_calls_total", "CRI calls that ended, by how they are served and their gRPC code.", "kind", "code")
	m.registry.MustRegister(collector{[]*prometheus.Desc{calls}, func(out chan<- prometheus.Metric) {
		served(func(kind, code string, count uint64) {
			out <- prometheus.MustNewConstMetric(calls, prometheus.CounterValue, float64(count), kind, code)
		})
	}})
}

// WatchChecks shows whether the daemon is ready and which of its checks pass.
func (m *Metrics) WatchChecks(run func() (ready bool, checks map[string]bool)) {
	ready := desc("ready", "Whether the daemon does its work, as /readyz has it.")
	passing := desc("check_passing", "Whether a check of /readyz passes.", "check")
	m.registry.MustRegister(collector{[]*prometheus.Desc{ready, passing}, func(out chan<- prometheus.Metric) {
		all, checks := run()
		out <- prometheus.MustNewConstMetric(ready, prometheus.GaugeValue, number(all))
		for name, passes := range checks {
			out <- prometheus.MustNewConstMetric(passing, prometheus.GaugeValue, number(passes), name)
		}
	}})
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// sizesAge is how old the sizes of folders may be that are shown: to find them
// out every file is looked at.
const sizesAge = 30 * time.Second

// Sizes returns the sizes of the cache's folders, not more than half a minute
// old.
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

// WatchCache shows what is in the state folder and how often it helped.
func (m *Metrics) WatchCache(c *cache.Cache, sizes func() (map[string]cache.Size, error)) {
	files := desc("cache_files", "Files in the state folder, whoever wrote them, by kind.", "kind")
	bytes := desc("cache_size_bytes", "Size of the files in the state folder, by kind.", "kind")
	limit := desc("cache_limit_bytes", "How much all files in the state folder may take.")
	lookups := desc("cache_lookups_total", "How often this daemon looked for something in the state folder, by kind and whether it was there.", "kind", "result")
	m.registry.MustRegister(collector{[]*prometheus.Desc{files, bytes, limit, lookups}, func(out chan<- prometheus.Metric) {
		out <- prometheus.MustNewConstMetric(limit, prometheus.GaugeValue, float64(c.Limit()))
		for _, kind := range cache.Kinds() {
			uses := c.Uses(kind)
			out <- prometheus.MustNewConstMetric(lookups, prometheus.CounterValue, float64(uses.Hits), kind, "hit")
			out <- prometheus.MustNewConstMetric(lookups, prometheus.CounterValue, float64(uses.Misses), kind, "miss")
		}
		found, err := sizes()
		if err != nil { // no value is better than a wrong one
			return
		}
		for kind, size := range found {
			out <- prometheus.MustNewConstMetric(files, prometheus.GaugeValue, float64(size.Files), kind)
			out <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(size.Bytes), kind)
		}
	}})
}
