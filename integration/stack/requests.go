package stack

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Request is one request that came in through a registry's front.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	// User is whom the credentials belong to, "" for none or unknown ones.
	User string
	// Status is what was answered, 0 while it has not been.
	Status int
}

// Requests are all requests so far, the oldest first.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Count counts requests by method ("" is any) and by a regular expression on the
// path.
func (r *Registry) Count(method, pathPattern string) int {
	pattern := regexp.MustCompile(pathPattern)
	count := 0
	for _, req := range r.Requests() {
		if (method == "" || req.Method == method) && pattern.MatchString(req.Path) {
			count++
		}
	}
	return count
}

// Forget drops the recorded requests. Do not call it while one is running.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}

// record changes an entry; one that was forgotten meanwhile is let go.
func (r *Registry) record(index int, change func(*Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index < len(r.requests) {
		change(&r.requests[index])
	}
}

// Rounds counts round trips: a request is answered only when no other has come
// for a while, together with all that wait by then. What a client can ask at once
// so falls into one round, however slow it is.
type Rounds struct {
	registry *Registry
	quiet    time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	gate    chan struct{} // of the round that fills; nil before its first request
	clients map[string]bool
	count   map[string]int
}

// CountRounds begins to count, in place of what was set by Intercept.
func (r *Registry) CountRounds(quiet time.Duration) *Rounds {
	rounds := &Rounds{registry: r, quiet: quiet, count: map[string]int{}}
	r.Intercept(rounds.hold)
	return rounds
}

// Stop ends the count and returns, by the product in User-Agent, the rounds in
// which a client asked for something.
func (c *Rounds) Stop() map[string]int {
	c.registry.Intercept(nil)
	c.open()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *Rounds) hold(_ http.ResponseWriter, req *http.Request) (answered bool) {
	client, _, _ := strings.Cut(req.UserAgent(), "/")
	c.mu.Lock()
	if c.gate == nil {
		c.gate, c.clients = make(chan struct{}), map[string]bool{}
		c.timer = time.AfterFunc(c.quiet, c.open)
	}
	c.timer.Reset(c.quiet)
	c.clients[client] = true
	gate := c.gate
	c.mu.Unlock()
	select {
	case <-gate:
	case <-req.Context().Done():
	case <-c.registry.closed:
	}
	return false
}

// open lets the round go that waits, if any.
func (c *Rounds) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gate == nil {
		return
	}
	c.timer.Stop()
	close(c.gate)
	c.gate = nil
	for client := range c.clients {
		c.count[client]++
	}
}
