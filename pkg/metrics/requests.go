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
	m.requests = counter("registry_requests_total", "Questions to hosts of registries, by what for and what came of it.", "op", "result")
	m.requestsTook = prometheus.NewHistogramVec(histogram("registry_request_duration_seconds",
		"How long a host of a registry took to answer, logging in included, by what it was asked for.",
		[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}), []string{"op"})
	for _, op := range ops() {
		m.requestsTook.WithLabelValues(op)
		for _, result := range results() {
			m.requests.WithLabelValues(op, result)
		}
	}
}

// ops are the operations of package registry.
func ops() []string { return []string{"resolve", "fetch_manifest", "fetch_blob", "list_referrers"} }

// What comes of a question to a registry.
const (
	resultOK           = "ok"
	resultNotFound     = "not_found"
	resultNoAPI        = "no_referrers_api"
	resultUnauthorized = "unauthorized"
	resultThrottled    = "throttled"    // 429
	resultServerError  = "server_error" // any other status that is no answer
	resultUnusable     = "unusable"     // too large, or not what it should be
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

// Request counts a question to a host of a registry, as registry.Options.Observe
// is told of it.
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
