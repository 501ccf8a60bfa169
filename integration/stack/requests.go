package stack

import (
	"net/http"
	"regexp"
	"slices"
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
