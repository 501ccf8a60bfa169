package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// nothing is the label would of what was done as decided.
const nothing = "nothing"

func (m *Metrics) makeDecisions() {
	m.decisions = counter("decisions_total",
		"Pulls and containers decided about, by what was done and what would have been, were it not for audit, an exemption or the runtime.",
		"program", "action", "would")
	for _, o := range outcomes(m.program) {
		m.decisions.WithLabelValues(m.program, string(o.Action), would(o.Would))
	}
	m.cases = counter("policy_cases_total", "How often a policy had to answer, by its key and the answer.", "key", "answer")
	for _, c := range Cases() {
		m.cases.WithLabelValues(c.Key, c.Answer)
	}
	m.decided = prometheus.NewHistogram(histogram("decision_duration_seconds", "How long the decision for a pull took.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}))
	m.pulls = prometheus.NewHistogramVec(histogram("pull_duration_seconds", "How long a pull took, with its decision, by what was done.",
		[]float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}), []string{"action"})
	for _, o := range outcomes(decisionlog.Proxy) {
		m.pulls.WithLabelValues(string(o.Action))
	}
	m.admitted = prometheus.NewHistogram(histogram("admission_duration_seconds", "How long the decision about a container took.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 2}))
}

// outcome is what a decision may come to.
type outcome struct{ Action, Would policy.Action }

func outcomes(program string) []outcome {
	switch program {
	case decisionlog.Proxy:
		return []outcome{
			{policy.Pulled, ""}, {policy.Forwarded, ""}, {policy.Forwarded, policy.Pulled},
			{policy.Forwarded, policy.Refused}, {policy.Refused, ""}, {policy.Failed, ""},
		}
	case decisionlog.Plugin:
		return []outcome{
			{policy.Admitted, ""}, {policy.Admitted, policy.Refused}, {policy.Refused, ""}, {policy.FoundUnfit, ""},
		}
	}
	return nil
}

// Cases returns all cases in which a policy has an answer, with every answer
// that the configuration allows.
func Cases() []policy.Case {
	var cases []policy.Case
	for _, key := range policy.Keys() {
		for _, answer := range key.Answers {
			cases = append(cases, policy.Case{Key: key.Name, Answer: answer})
		}
	}
	return cases
}

// Record counts a decision.
func (m *Metrics) Record(r decisionlog.Record) {
	action := known(r.Action)
	m.decisions.WithLabelValues(m.program, action, would(r.Would)).Inc()
	for _, c := range r.Cases {
		if !slices.Contains(Cases(), c) {
			c = policy.Case{Key: other, Answer: other}
		}
		m.cases.WithLabelValues(c.Key, c.Answer).Inc()
	}
	if m.program == decisionlog.Plugin {
		m.admitted.Observe(r.Took.Seconds())
		return
	}
	m.pulls.WithLabelValues(action).Observe(r.Took.Seconds())
	if r.Decided > 0 {
		m.decided.Observe(r.Decided.Seconds())
	}
}

func known(a policy.Action) string {
	if !slices.Contains(policy.Actions(), a) {
		return other
	}
	return string(a)
}

func would(a policy.Action) string {
	if a == "" {
		return nothing
	}
	return known(a)
}

// Decisions returns how many decisions came to each action.
func (m *Metrics) Decisions() map[string]uint64 {
	counts := map[string]uint64{}
	alone := prometheus.NewRegistry()
	alone.MustRegister(m.decisions)
	families, err := alone.Gather()
	if err != nil {
		return counts
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "action" {
					counts[label.GetValue()] += uint64(metric.GetCounter().GetValue())
				}
			}
		}
	}
	return counts
}
