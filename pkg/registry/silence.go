package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/imagefit/imagefit/pkg/tracing"
)

const (
	// minWait is how long a host must have had to answer before its silence counts: the
	// budget of a pull may have been used up by others, or this machine be slow.
	minWait = 500 * time.Millisecond
	// slowFailure is how long a failure may take without being a loss of time.
	slowFailure = time.Second
)

// errSilent is the cause of requests that the breaker prevents. The text is the same for
// every pull, so that events of pods can be counted.
var errSilent = errors.New("breaker open: this host did not answer an earlier request for referrers in time; " +
	"it is probed in the background and not waited for meanwhile")

// silence is what is known not to answer, if this host does not.
func (c *call) silence(host docker.RegistryHost) silence {
	return silence{place: place(host), host: host.Host, registry: c.repo.registry}
}

// isSilent tells whether a host is not to be waited for. Only requests for referrers are
// held back: the runtime makes the others too, and waits for their answers itself.
func (c *call) isSilent(req *http.Request, host docker.RegistryHost) bool {
	return c.kind == referring && c.repo.owner.breaker.isOpen(c.silence(host), c.probe(req, host))
}

// waited remembers a host that cost a pull its time and gave nothing for it.
func (c *call) waited(req *http.Request, host docker.RegistryHost, failure *Error, took time.Duration) {
	if c.kind == referring && isSilence(failure, took, minWait) {
		c.repo.owner.breaker.trip(c.silence(host), took, c.probe(req, host))
	}
}

// isSilence tells a failure that cost time from an answer, from a failure at once, and
// from a pull that was cancelled.
func isSilence(failure *Error, took, wait time.Duration) bool {
	if failure.Kind != nil || errors.Is(failure, context.Canceled) {
		return false
	}
	network, isNetwork := errors.AsType[net.Error](failure)
	if errors.Is(failure, context.DeadlineExceeded) || isNetwork && network.Timeout() {
		return took >= wait
	}
	return took >= slowFailure
}

// probe repeats a request, with the credentials of its own pull. A host that fails at
// once costs no time: pulls may ask it again.
func (c *call) probe(req *http.Request, host docker.RegistryHost) probe {
	again := *c // as it is now
	return func(stop context.Context) bool {
		c := again
		deadline, _ := stop.Deadline()
		ctx, cancel := context.WithDeadline(context.WithoutCancel(req.Context()), deadline)
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		start := time.Now()
		resp, err := c.attempt(tracing.Hide(ctx), req.Clone(ctx), host, false)
		if err == nil {
			_ = resp.Body.Close()
		}
		return stop.Err() == nil && (err == nil || !isSilence(err, time.Since(start), 0))
	}
}
