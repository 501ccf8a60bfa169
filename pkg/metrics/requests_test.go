package metrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/registry"
)

// timeoutError is a net.Error.
type timeoutError struct{ error }

func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func TestRequestsAreCountedByOperationAndResult(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no error":       {nil, "ok"},
		"not found":      {&registry.Error{Kind: registry.ErrNotFound, Status: 404}, "not_found"},
		"unauthorized":   {&registry.Error{Kind: registry.ErrUnauthorized, Status: 403}, "unauthorized"},
		"no API":         {&registry.Error{Kind: registry.ErrNoReferrersAPI, Status: 404}, "no_referrers_api"},
		"too large":      {&registry.Error{Kind: registry.ErrTooLarge}, "unusable"},
		"corrupt":        {fmt.Errorf("with %w", registry.ErrCorrupt), "unusable"},
		"429":            {&registry.Error{Status: 429}, "throttled"},
		"502":            {&registry.Error{Status: 502}, "server_error"},
		"400":            {&registry.Error{Status: 400}, "server_error"},
		"given up":       {&registry.Error{Cause: context.Canceled}, "canceled"},
		"no time left":   {&registry.Error{Cause: context.DeadlineExceeded}, "timeout"},
		"a slow network": {&registry.Error{Cause: timeoutError{errors.New("x")}}, "timeout"},
		"no route":       {&registry.Error{Cause: errors.New("app:1 has no route")}, "unreachable"},
	} {
		m := New(decisionlog.Proxy, "")
		m.Request("fetch manifest", test.err, time.Second)
		m.Request("host.example", test.err, 0)
		text := scrape(t, m)
		for _, op := range []string{"fetch_manifest", "other"} {
			if line := fmt.Sprintf(`imagefit_registry_requests_total{op=%q,result=%q} 1`, op, test.want); !strings.Contains(text, line) {
				t.Errorf("%s: there is no line %s in\n%s", name, line, ours(text))
			}
		}
		if !strings.Contains(text, `imagefit_registry_request_duration_seconds_sum{op="fetch_manifest"} 1`) {
			t.Errorf("%s: no duration", name)
		}
	}
}
