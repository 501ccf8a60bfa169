package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// nothing is the value of the label would where the decision was carried out.
const nothing = "nothing"

func (m *Metrics) makeDecisions() {
	m.decisions = m.all().NewCounterVec(prometheus.CounterOpts(opts("decisions_total",
		"Decisions about pulls and containers, by what was done and what the mode, an exemption or the runtime prevented.")),
		[]string{"program", "action", "would"})
	m.pulls = m.only(decisionlog.Proxy).NewHistogramVec(histogram("pull_duration_seconds",
		"Duration of pulls, decision included, by what was done.",
		.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600), []string{"action"})
	m.pullReasons = m.only(decisionlog.Proxy).NewCounterVec(prometheus.CounterOpts(opts("pulls_total",
		"Pulls, by why they were done as they were.")), []string{"reason"})
	for _, reason := range policy.Reasons() {
		m.pullReasons.WithLabelValues(string(reason))
	}
	m.byAction = map[string]uint64{}
	for _, o := range outcomes(m.program) {
		m.decisions.WithLabelValues(m.program, string(o.action), would(o.would))
		m.pulls.WithLabelValues(string(o.action))
		m.byAction[string(o.action)] = 0
	}
	m.fallbacks = m.only(decisionlog.Proxy).NewCounter(prometheus.CounterOpts(opts("pull_fallbacks_total",
		"Pulls of another variant than the one that fits best, which could not be pulled.")))
	m.warnings = m.all().NewCounter(prometheus.CounterOpts(opts("warnings_total",
		"Pulls and containers that mode warn let pass although nothing fits.")))
	m.cases = m.all().NewCounterVec(prometheus.CounterOpts(opts("policy_cases_total",
		"How often a policy key was applied, by key and answer.")), []string{"key", "answer"})
	m.known = map[policy.Case]bool{}
	for _, key := range policy.Keys() {
		for _, answer := range key.Answers {
			m.known[policy.Case{Key: key.Name, Answer: answer}] = true
			m.cases.WithLabelValues(key.Name, answer)
		}
	}
	unsigned := policy.UnsignedMetadata()
	m.known[unsigned] = true
	m.cases.WithLabelValues(unsigned.Key, unsigned.Answer)
	m.decided = m.only(decisionlog.Proxy).NewHistogram(histogram("decision_duration_seconds",
		"Time to decide about a pull.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	m.unchecked = m.only(decisionlog.Plugin).NewCounterVec(prometheus.CounterOpts(opts("admissions_unchecked_total",
		"Containers that were admitted without a check, by why.")), []string{"reason"})
	for _, reason := range policy.Unchecked() {
		m.unchecked.WithLabelValues(string(reason))
	}
	m.admitted = m.only(decisionlog.Plugin).NewHistogram(histogram("admission_duration_seconds",
		"Time to decide about a container.", .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 2))
}

// outcome is what a decision may come to.
type outcome struct{ action, would policy.Action }

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

// Record counts a decision.
func (m *Metrics) Record(r decisionlog.Record) {
	action := label(r.Action)
	m.decisions.WithLabelValues(m.program, action, would(r.Would)).Inc()
	if r.Warned() {
		m.warnings.Inc()
	}
	m.mu.Lock()
	m.byAction[action]++
	m.mu.Unlock()
	m.countTrust(r)
	for _, c := range r.Cases {
		if !m.known[c] {
			c = policy.Case{Key: other, Answer: other}
		}
		m.cases.WithLabelValues(c.Key, c.Answer).Inc()
	}
	if m.program == decisionlog.Plugin {
		if slices.Contains(policy.Unchecked(), r.ReasonCode) {
			m.unchecked.WithLabelValues(string(r.ReasonCode)).Inc()
		}
		m.admitted.Observe(r.Took.Seconds())
		return
	}
	m.pulls.WithLabelValues(action).Observe(r.Took.Seconds())
	m.pullReasons.WithLabelValues(reasonLabel(r.ReasonCode)).Inc()
	if r.InsteadOf != "" {
		m.fallbacks.Inc()
	}
	if r.Decided > 0 {
		m.decided.Observe(r.Decided.Seconds())
	}
}

func label(a policy.Action) string {
	if !slices.Contains(policy.Actions(), a) {
		return other
	}
	return string(a)
}

func reasonLabel(r policy.Reason) string {
	if !slices.Contains(policy.Reasons(), r) {
		return other
	}
	return string(r)
}

func would(a policy.Action) string {
	if a == "" {
		return nothing
	}
	return label(a)
}

// Decisions returns how many decisions there were, by action.
func (m *Metrics) Decisions() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.byAction)
}
