package metrics

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagefit/imagefit/pkg/registry"
)

func (m *Metrics) makeRequests() {
	m.requests = m.all().NewCounterVec(prometheus.CounterOpts(opts("registry_requests_total",
		"Requests to registry hosts, by operation and result.")), []string{"op", "result"})
	m.requestsTook = m.all().NewHistogramVec(histogram("registry_request_duration_seconds",
		"Duration of requests to registry hosts, authentication included, by operation.",
		.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30), []string{"op"})
	results := []string{ok, throttled, serverError, unreachable}
	for _, r := range errorResults() {
		results = append(results, r.result)
	}
	for _, op := range ops() {
		m.requestsTook.WithLabelValues(op)
		for _, result := range results {
			m.requests.WithLabelValues(op, result)
		}
	}
}

// ops are the operations of package registry.
func ops() []string { return []string{"resolve", "fetch_manifest", "fetch_blob", "list_referrers"} }

// errorResults are the results by error. The first that matches is used.
func errorResults() []errorResult {
	return []errorResult{
		{registry.ErrNoReferrersAPI, "no_referrers_api"},
		{registry.ErrNotFound, "not_found"},
		{registry.ErrUnauthorized, "unauthorized"},
		{registry.ErrTooLarge, "unusable"},
		{registry.ErrCorrupt, "unusable"},
		{context.Canceled, "canceled"}, // the client gave up
		{context.DeadlineExceeded, timeout},
	}
}

type errorResult struct {
	err    error
	result string
}

// The results that are not found by comparing errors.
const (
	ok          = "ok"
	timeout     = "timeout"
	throttled   = "throttled"    // 429
	serverError = "server_error" // any other unexpected status
	unreachable = "unreachable"
)

// Request counts a request to a registry host; it is a registry.Options.Observe.
func (m *Metrics) Request(op string, err error, took time.Duration) {
	op = strings.ReplaceAll(op, " ", "_")
	if !slices.Contains(ops(), op) {
		op = other
	}
	m.requests.WithLabelValues(op, result(err)).Inc()
	m.requestsTook.WithLabelValues(op).Observe(took.Seconds())
}

func result(err error) string {
	if err == nil {
		return ok
	}
	for _, r := range errorResults() {
		if errors.Is(err, r.err) {
			return r.result
		}
	}
	failed, _ := errors.AsType[*registry.Error](err)
	network, _ := errors.AsType[net.Error](err)
	switch {
	case failed != nil && failed.Status == http.StatusTooManyRequests:
		return throttled
	case failed != nil && failed.Status != 0:
		return serverError
	case network != nil && network.Timeout():
		return timeout
	}
	return unreachable
}
