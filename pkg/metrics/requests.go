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
	for _, op := range ops() {
		m.requestsTook.WithLabelValues(op)
		for _, result := range results() {
			m.requests.WithLabelValues(op, result)
		}
	}
}

// ops are the operations of package registry.
func ops() []string { return []string{"resolve", "fetch_manifest", "fetch_blob", "list_referrers"} }

// The results of a request to a registry.
const (
	resultOK           = "ok"
	resultNotFound     = "not_found"
	resultNoAPI        = "no_referrers_api"
	resultUnauthorized = "unauthorized"
	resultThrottled    = "throttled"    // 429
	resultServerError  = "server_error" // any other unexpected status
	resultUnusable     = "unusable"     // too large, or its digest does not match
	resultTimeout      = "timeout"
	resultCanceled     = "canceled" // the client gave up
	resultUnreachable  = "unreachable"
)

func results() []string {
	return []string{
		resultOK, resultNotFound, resultNoAPI, resultUnauthorized, resultThrottled, resultServerError,
		resultUnusable, resultTimeout, resultCanceled, resultUnreachable,
	}
}

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
		return resultOK
	}
	for _, kind := range []struct {
		error
		result string
	}{
		{registry.ErrNoReferrersAPI, resultNoAPI}, {registry.ErrNotFound, resultNotFound},
		{registry.ErrUnauthorized, resultUnauthorized},
		{registry.ErrTooLarge, resultUnusable}, {registry.ErrCorrupt, resultUnusable},
		{context.Canceled, resultCanceled}, {context.DeadlineExceeded, resultTimeout},
	} {
		if errors.Is(err, kind.error) {
			return kind.result
		}
	}
	if failed, ok := errors.AsType[*registry.Error](err); ok && failed.Status != 0 {
		if failed.Status == http.StatusTooManyRequests {
			return resultThrottled
		}
		return resultServerError
	}
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		return resultTimeout
	}
	return resultUnreachable
}
