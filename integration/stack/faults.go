package stack

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Fault is what goes wrong with some requests. Delay comes first; then the first
// of Hang, Status and Redirect that is set answers; Corrupt and Trickle change the
// registry's own answer. Credentials are asked for before the latter two.
type Fault struct {
	// Method ("" is any) and Path (a regular expression, "" is any) choose the
	// requests.
	Method, Path string
	// Times is how many requests are hit, 0 for all.
	Times int

	// Delay is how long the answer waits.
	Delay time.Duration
	// Hang never answers: until the client goes away or the registry closes.
	Hang bool
	// Status answers with this code and an error body.
	Status int
	// Redirect answers 307 with this location.
	Redirect string
	// Corrupt flips a bit in the middle of the body; length and digest header stay.
	Corrupt bool
	// Trickle sends the body one byte at a time, with this pause between.
	Trickle time.Duration

	pattern *regexp.Regexp
	hits    int
}

// Inject adds a fault; of several that match, the oldest is taken. The returned
// function takes it away. A malformed Path panics.
func (r *Registry) Inject(f Fault) (remove func()) {
	f.pattern = regexp.MustCompile(f.Path)
	fault := &f
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fault)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = slices.DeleteFunc(r.faults, func(other *Fault) bool { return other == fault })
	}
}

// nextFault is called with the lock held.
func (r *Registry) nextFault(req *http.Request) *Fault {
	for _, f := range r.faults {
		matches := (f.Method == "" || f.Method == req.Method) && f.pattern.MatchString(req.URL.Path)
		if !matches || (f.Times > 0 && f.hits >= f.Times) {
			continue
		}
		f.hits++
		return f
	}
	return nil
}

// before does what a fault does in place of the registry, and says whether the
// request is answered with that.
func (r *Registry) before(f *Fault, w http.ResponseWriter, req *http.Request) (answered bool) {
	if f.Delay > 0 && !r.pause(req, f.Delay) {
		return true
	}
	switch {
	case f.Hang:
		select {
		case <-req.Context().Done():
		case <-r.closed:
		}
		// Without this an empty 200 would go out as the handler returns.
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(`{"errors":[{"code":"UNKNOWN","message":"injected by the test"}]}`))
	case f.Redirect != "":
		http.Redirect(w, req, f.Redirect, http.StatusTemporaryRedirect)
	default:
		return false
	}
	return true
}

// spoil sends the registry's own answer, corrupted or trickling.
func (r *Registry) spoil(f *Fault, w http.ResponseWriter, req *http.Request) {
	if !f.Corrupt && f.Trickle == 0 {
		r.backend.ServeHTTP(w, req)
		return
	}
	answer := &buffered{header: http.Header{}, status: http.StatusOK}
	r.backend.ServeHTTP(answer, req)
	body := answer.body.Bytes()
	if f.Corrupt && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	if req.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.status)
	if f.Trickle == 0 {
		_, _ = w.Write(body) // the client may have gone
		return
	}
	r.trickle(f, w, req, body)
}

func (r *Registry) trickle(f *Fault, w http.ResponseWriter, req *http.Request, body []byte) {
	control := http.NewResponseController(w)
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil {
			return
		}
		if err := control.Flush(); err != nil || !r.pause(req, f.Trickle) {
			return
		}
	}
}

// pause waits, and says whether anybody still listens.
func (r *Registry) pause(req *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-req.Context().Done():
	case <-r.closed:
	}
	return false
}

// buffered keeps an answer in memory.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }
