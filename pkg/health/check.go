package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/secret"
)

const (
	// probeTimeout is how long a check may take.
	probeTimeout = time.Second
	// resultTTL is how long a result is reused, so that frequent requests do not
	// keep the runtime busy.
	resultTTL = time.Second
	// maxProblem bounds the text of a result.
	maxProblem = 512
)

// Check is a condition for a daemon to be ready.
type Check struct {
	Name string
	// Optional makes a failure a warning.
	Optional bool
	// Probe returns what is wrong. Its text is public: /readyz shows it.
	Probe func(ctx context.Context) error
}

// Result is the result of a check.
type Result struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Optional bool   `json:"optional,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// checker runs one check, never twice at the same time.
type checker struct {
	Check
	ctx    context.Context // of the probes
	probes *sync.WaitGroup

	mu      sync.Mutex
	at      time.Time
	err     error
	running chan struct{} // closed when the running probe ends
}

// result returns within about probeTimeout, even if the probe hangs.
func (c *checker) result() Result {
	err := c.check()
	r := Result{Name: c.Name, OK: err == nil, Optional: c.Optional}
	if err != nil {
		r.Problem = textutil.Line(secret.Strip(err.Error()), maxProblem)
	}
	return r
}

func (c *checker) check() error {
	c.mu.Lock()
	if c.running == nil && (c.at.IsZero() || time.Since(c.at) >= resultTTL) {
		c.running = make(chan struct{})
		c.probes.Go(c.probe)
	}
	running, err := c.running, c.err
	c.mu.Unlock()
	if running == nil {
		return err
	}
	select {
	case <-running:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	case <-time.After(probeTimeout + probeTimeout/10): // an error of the probe itself says more
		return fmt.Errorf("no answer within %s", probeTimeout)
	}
}

func (c *checker) probe() {
	ctx, cancel := context.WithTimeout(c.ctx, probeTimeout)
	defer cancel()
	err := c.Probe(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.running)
	c.at, c.err, c.running = time.Now(), err, nil
}
