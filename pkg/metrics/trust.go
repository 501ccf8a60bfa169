package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagefit/imagefit/pkg/decisionlog"
)

// The values of the label result of metadata_trust_total.
const (
	trustSigned  = "signed"
	trustIgnored = "ignored"
	trustKept    = "kept"
)

func (m *Metrics) makeTrust() {
	m.trust = m.all().NewCounterVec(prometheus.CounterOpts(opts("metadata_trust_total",
		"Where signatures are needed: decisions that rest on signed metadata, statements that were ignored, and signed artifacts of an earlier pull that count though the registry does not have them now.")), []string{"result"})
	for _, result := range []string{trustSigned, trustIgnored, trustKept} {
		m.trust.WithLabelValues(result)
	}
}

// countTrust counts what signatures did to a decision.
func (m *Metrics) countTrust(r decisionlog.Record) {
	if len(r.SignedBy) > 0 {
		m.trust.WithLabelValues(trustSigned).Inc()
	}
	m.trust.WithLabelValues(trustIgnored).Add(float64(max(0, r.Ignored)))
	m.trust.WithLabelValues(trustKept).Add(float64(max(0, r.Kept)))
}
