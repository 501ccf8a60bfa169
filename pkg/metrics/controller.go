package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Controller is the program that has the metrics of this file.
const Controller = "imagefit-controller"

// placements are the metrics of imagefit-controller.
type placements struct {
	placed  *prometheus.CounterVec
	took    prometheus.Histogram
	lookups *prometheus.CounterVec
	looked  prometheus.Histogram
	drifted prometheus.Counter
}

// PlacementResults are what may come of placing a pod.
func PlacementResults() []string {
	return []string{"placed", "none_fits", "undecided", "rejected", "failed"}
}

func (m *Metrics) makePlacements() {
	m.placements.placed = m.only(Controller).NewCounterVec(prometheus.CounterOpts(opts("pods_placed_total",
		"Pods that were placed, by what came of it; failed ones are tried again.")), []string{"result"})
	for _, result := range PlacementResults() {
		m.placements.placed.WithLabelValues(result)
	}
	m.placements.took = m.only(Controller).NewHistogram(histogram("pod_placement_duration_seconds",
		"How long pods were gated, from when the controller saw them.", .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 4, 5, 10, 30))
	m.placements.lookups = m.only(Controller).NewCounterVec(prometheus.CounterOpts(opts("image_lookups_total",
		"Lookups of what an image needs, by result.")), []string{"result"})
	for _, result := range []string{success, failure} {
		m.placements.lookups.WithLabelValues(result)
	}
	m.placements.looked = m.only(Controller).NewHistogram(histogram("image_lookup_duration_seconds",
		"Time to find out what an image needs.", .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5))
	m.placements.drifted = m.only(Controller).NewCounter(prometheus.CounterOpts(opts("pods_drifted_total",
		"Running pods whose node no longer fits them.")))
}

// Placed counts a pod that was placed, or that could not be.
func (m *Metrics) Placed(result string, took time.Duration) {
	m.placements.placed.WithLabelValues(result).Inc()
	if took > 0 {
		m.placements.took.Observe(took.Seconds())
	}
}

// LookedUp counts a lookup of what an image needs.
func (m *Metrics) LookedUp(err error, took time.Duration) {
	result := success
	if err != nil {
		result = failure
	}
	m.placements.lookups.WithLabelValues(result).Inc()
	m.placements.looked.Observe(took.Seconds())
}

// Drifted counts a running pod whose node no longer fits it.
func (m *Metrics) Drifted() { m.placements.drifted.Inc() }

// WatchCluster exports which pods wait for the controller and what it knows of the nodes.
func (m *Metrics) WatchCluster(waiting func() (pods int, longest time.Duration), nodes func() (all, inClass, classes int), leads func() bool) {
	gated := desc("gated_pods", "Pods that wait for the controller.")
	longest := desc("gated_pods_oldest_seconds", "How long the pod that waits the longest has waited.")
	all := desc("cluster_nodes", "Nodes of the cluster, by whether they have a node class.", "class")
	classes := desc("node_classes", "Node classes that nodes have.")
	leader := desc("controller_leader", "Whether this instance places pods.")
	m.registry.MustRegister(collector(func(out chan<- prometheus.Metric) {
		pods, age := waiting()
		total, inClass, kinds := nodes()
		out <- prometheus.MustNewConstMetric(gated, prometheus.GaugeValue, float64(pods))
		out <- prometheus.MustNewConstMetric(longest, prometheus.GaugeValue, age.Seconds())
		out <- prometheus.MustNewConstMetric(all, prometheus.GaugeValue, float64(inClass), "known")
		out <- prometheus.MustNewConstMetric(all, prometheus.GaugeValue, float64(total-inClass), "unknown")
		out <- prometheus.MustNewConstMetric(classes, prometheus.GaugeValue, float64(kinds))
		out <- prometheus.MustNewConstMetric(leader, prometheus.GaugeValue, number(leads()))
	}))
}
