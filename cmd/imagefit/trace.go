package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// trace shows what registries were asked: each request as it ends, where that is wanted,
// and how long each step took, where no decision came of it.
type trace struct {
	requests bool

	mu    sync.Mutex
	out   io.Writer
	begun time.Time
	steps []step
}

// step is a host that was asked for something.
type step struct {
	op   string
	err  error
	took time.Duration
}

// slowSteps is how long it takes until a person asks what took so long.
const slowSteps = 500 * time.Millisecond

// maxSteps is more than a decision has that ends with an error.
const maxSteps = 50

func newTrace(out io.Writer, requests bool) *trace {
	return &trace{requests: requests, out: out, begun: time.Now()}
}

// options has a registry tell the trace.
func (t *trace) options(o registry.Options) registry.Options {
	o.Observe = t.step
	if t.requests {
		o.Trace = t.request
	}
	return o
}

func (t *trace) step(op string, err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.steps) < maxSteps {
		t.steps = append(t.steps, step{op, err, took})
	}
}

func (t *trace) request(r registry.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	came := fmt.Sprintf("%d %8d B", r.Status, r.Bytes)
	if r.Err != nil {
		came = "no answer    "
	}
	fmt.Fprintf(t.out, "at %7s  %7s  %s  %-4s %s%s\n", rounded(r.Begun.Sub(t.begun)), rounded(r.Took), came, r.Method, r.URL, cause(r.Err))
}

// cause is an error without the URL, which is printed before it.
func cause(err error) string {
	if err == nil {
		return ""
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return ": " + decision.Line(err.Error())
}

// printSteps prints how long each step took, if they took long or requests are printed.
func (t *trace) printSteps() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.begun) < slowSteps && !t.requests {
		return
	}
	for _, s := range t.steps {
		text := "ok"
		if s.err != nil {
			text = decision.Line(s.err.Error())
		}
		fmt.Fprintf(t.out, "imagefit: %s took %s: %s\n", s.op, rounded(s.took), text)
	}
}

func rounded(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
