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
	// patience is how long a check may take.
	patience = time.Second
	// fresh is how long the result of a check counts, so that whoever asks often
	// does not keep the runtime busy.
	fresh = time.Second
	// maxProblem bounds what is said of a check.
	maxProblem = 512
)

// Check is something that must hold before a daemon does its work.
type Check struct {
	Name string
	// Optional is a check whose failure is worth telling and no more.
	Optional bool
	// Probe returns what is wrong. Whoever may read /readyz reads its text.
	Probe func(ctx context.Context) error
}

// Result is what came of a check.
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
	running chan struct{} // closed when the probe that runs ends
}

// result waits no longer than patience, whatever the probe does.
func (c *checker) result() Result {
	err := c.ask()
	r := Result{Name: c.Name, OK: err == nil, Optional: c.Optional}
	if err != nil {
		r.Problem = textutil.Line(secret.Strip(err.Error()), maxProblem)
	}
	return r
}

func (c *checker) ask() error {
	c.mu.Lock()
	if c.running == nil && (c.at.IsZero() || time.Since(c.at) >= fresh) {
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
	case <-time.After(patience + patience/10): // the probe may well say more than this
		return fmt.Errorf("no answer within %s", patience)
	}
}

func (c *checker) probe() {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	err := c.Probe(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.running)
	c.at, c.err, c.running = time.Now(), err, nil
}
