package registry

import (
	"io"
	"net/http"
	"net/url"
	"time"
)

// Request is one request as it was sent, for people. It has no credentials: of a query
// only what the OCI distribution spec and mirrors define is left, and of a URL that a
// registry redirected to, only the host.
type Request struct {
	Method string
	URL    string
	Status int   // 0 without an answer
	Bytes  int64 // of the body that were read
	Begun  time.Time
	Took   time.Duration // until the body was read
	Err    error
}

// shownQuery are the parameters that no secret is in.
func shownQuery() []string { return []string{"ns", "n", "last", "artifactType", "service", "scope"} }

// traced tells of a request when its body has been read.
func traced(req *http.Request, tell func(Request), send func() (*http.Response, error)) (*http.Response, error) {
	r := Request{Method: req.Method, URL: shownURL(req, req.URL.Scheme), Begun: time.Now()}
	resp, err := send()
	if err != nil {
		r.Took, r.Err = time.Since(r.Begun), err
		tell(r)
		return nil, err
	}
	r.Status = resp.StatusCode
	if sent := resp.Request; sent != nil && sent.URL != nil { // localhost may have turned out to be without TLS
		r.URL = shownURL(req, sent.URL.Scheme)
	}
	resp.Body = &tracedBody{ReadCloser: resp.Body, request: r, tell: tell}
	return resp, nil
}

type tracedBody struct {
	io.ReadCloser
	request Request
	tell    func(Request)
}

// Read counts.
func (b *tracedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.request.Bytes += int64(n)
	return n, err
}

// Close ends the request.
func (b *tracedBody) Close() error {
	if b.tell != nil {
		b.request.Took = time.Since(b.request.Begun)
		b.tell(b.request)
		b.tell = nil
	}
	return b.ReadCloser.Close()
}

func shownURL(req *http.Request, scheme string) string {
	shown := url.URL{Scheme: scheme, Host: req.URL.Host, Path: req.URL.Path}
	if req.Response != nil && leads(req.Context(), req.URL) { // redirected: such a path may be a secret
		shown.Path = "/..."
		return shown.String()
	}
	query, kept := req.URL.Query(), url.Values{}
	for _, key := range shownQuery() {
		if values, ok := query[key]; ok {
			kept[key] = values
		}
	}
	shown.RawQuery = kept.Encode()
	return shown.String()
}
