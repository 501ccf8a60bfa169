package health

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options are what a Server is made of.
type Options struct {
	Checks  []Check
	Metrics http.Handler
	// Status returns all but Schema, Ready and Checks.
	Status func() Status
	Log    *slog.Logger
}

// Server answers /livez, /readyz, /metrics and /status.
type Server struct {
	options  Options
	checkers []*checker
	handler  http.Handler
	probes   sync.WaitGroup
	end      context.CancelFunc
	retry    time.Duration // retryInterval, shorter in tests
}

// New returns a server that does not listen yet. Close stops its checks.
func New(o Options) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{options: o, end: cancel, retry: retryInterval}
	for _, c := range o.Checks {
		s.checkers = append(s.checkers, &checker{Check: c, ctx: ctx, probes: &s.probes})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /status", s.status)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	s.handler = http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // clients neither cache a response nor guess its type
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	}), maxBody)
	return s
}

// Close stops running checks.
func (s *Server) Close() {
	s.end()
	s.probes.Wait()
}

// Check runs all checks at once and returns their results in order. ready tells
// whether all pass that are not optional.
func (s *Server) Check() (ready bool, results []Result) {
	results = make([]Result, len(s.checkers))
	var group sync.WaitGroup
	for i, c := range s.checkers {
		group.Go(func() { results[i] = c.result() })
	}
	group.Wait()
	ready = true
	for _, r := range results {
		ready = ready && (r.OK || r.Optional)
	}
	return ready, results
}

// readyz lists the checks that fail; with ?verbose all of them.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready, results := s.Check()
	_, verbose := r.URL.Query()["verbose"]
	var b strings.Builder
	for _, c := range results {
		switch {
		case c.OK && verbose:
			fmt.Fprintf(&b, "[+] %s: ok\n", c.Name)
		case !c.OK && c.Optional && verbose:
			fmt.Fprintf(&b, "[!] %s: %s\n", c.Name, c.Problem)
		case !c.OK && !c.Optional:
			fmt.Fprintf(&b, "[-] %s: %s\n", c.Name, c.Problem)
		}
	}
	if ready {
		b.WriteString("ready\n")
		reply(w, http.StatusOK, b.String())
		return
	}
	b.WriteString("not ready\n")
	reply(w, http.StatusServiceUnavailable, b.String())
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	status := s.options.Status()
	status.Schema = Schema
	status.Ready, status.Checks = s.Check()
	body, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		s.options.Log.Error("cannot encode the status", "error", err)
		reply(w, http.StatusInternalServerError, "internal error, see the log\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

func reply(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the client may be gone
}
