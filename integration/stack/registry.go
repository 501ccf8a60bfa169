package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	sloppy "github.com/google/go-containerregistry/pkg/registry"
)

// Registry is a registry on the loopback interface behind a front that records
// every request, asks for credentials and injects what goes wrong. Images pushed
// by [Registry.Repo] take a back door: they are not recorded, need no credentials
// and meet no fault.
type Registry struct {
	// Host is "127.0.0.1:PORT", the first part of references.
	Host string

	backend   http.Handler
	backHost  string
	transport *http.Transport
	login     Login // that the backend itself asks for, of those who push
	closers   []func() error
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error

	mu        sync.Mutex
	requests  []Request
	faults    []*Fault
	intercept func(http.ResponseWriter, *http.Request) bool
	auth      authenticator
	resting   map[net.Conn]bool

	layerOnce sync.Once
	layer     layer
	layerErr  error
}

// NewRegistry starts an in-memory registry that does everything right: the
// referrers API with artifactType and filter.
func NewRegistry() (*Registry, error) {
	// Lax, so that tests can push an index of 10,000 entries that do not exist.
	store := ocimem.NewWithConfig(&ocimem.Config{LaxChildReferences: true})
	return newRegistry(ociserver.New(store, nil))
}

// NewSloppyRegistry starts an in-memory registry whose referrers API is off: it
// reports the media type of an artifact's config as its artifactType, and ignores
// the filter.
func NewSloppyRegistry() (*Registry, error) {
	quiet := sloppy.Logger(log.New(io.Discard, "", 0))
	return newRegistry(sloppy.New(sloppy.WithReferrersSupport(true), quiet))
}

func newRegistry(backend http.Handler) (*Registry, error) {
	r := &Registry{backend: backend, transport: &http.Transport{}, closed: make(chan struct{}), resting: map[net.Conn]bool{}}
	r.closers = append(r.closers, func() error { r.transport.CloseIdleConnections(); return nil })
	var err error
	if r.Host, err = r.serve(http.HandlerFunc(r.front)); err != nil {
		return nil, err
	}
	if r.backHost, err = r.serve(backend); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// serve starts a server on a free loopback port and returns its address.
func (r *Registry) serve(handler http.Handler) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start registry: %w", err)
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ConnState: r.connState}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with ErrServerClosed, by Close
	}()
	r.closers = append(r.closers, func() error {
		err := server.Close()
		<-served
		return err
	})
	return listener.Addr().String(), nil
}

// Close stops the registry; requests that hang are cut. A second Close does
// nothing.
func (r *Registry) Close() error {
	r.closeOnce.Do(func() {
		close(r.closed)
		var errs []error
		for _, closer := range slices.Backward(r.closers) {
			errs = append(errs, closer())
		}
		r.closeErr = errors.Join(errs...)
	})
	return r.closeErr
}

// connState keeps the connections over which no request runs.
func (r *Registry) connState(conn net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state == http.StateNew || state == http.StateIdle {
		r.resting[conn] = true
	} else {
		delete(r.resting, conn)
	}
}

// HangUp ends the connections over which no request runs.
func (r *Registry) HangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.resting {
		_ = conn.Close()
	}
}

// front is what clients meet.
func (r *Registry) front(w http.ResponseWriter, req *http.Request) {
	index, intercept, fault, auth := r.arrive(req)
	watch := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	// Also when a handler cuts the connection by a panic.
	defer func() { r.record(index, func(q *Request) { q.Status = watch.status }) }()
	if intercept != nil && intercept(watch, req) {
		return
	}
	if fault != nil && r.before(fault, watch, req) {
		return
	}
	if auth != nil {
		user, admitted := auth.admit(watch, req)
		r.record(index, func(q *Request) { q.User = user })
		if !admitted {
			return
		}
	}
	if fault != nil {
		r.spoil(fault, watch, req)
		return
	}
	r.backend.ServeHTTP(watch, req)
}

// arrive records a request and says what is to happen to it.
func (r *Registry) arrive(req *http.Request) (int, func(http.ResponseWriter, *http.Request) bool, *Fault, authenticator) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, Request{
		Method: req.Method,
		Path:   req.URL.Path,
		Query:  req.URL.RawQuery,
		Header: req.Header.Clone(),
	})
	return len(r.requests) - 1, r.intercept, r.nextFault(req), r.auth
}

// Intercept puts a handler in front of everything: it returns true when it has
// answered. Nil takes it away.
func (r *Registry) Intercept(handler func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.intercept = handler
}

// statusWriter remembers the status that was sent.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
