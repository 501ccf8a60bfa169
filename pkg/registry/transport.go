package registry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

const (
	maxBytes       = 4 << 20 // of any body: a manifest, a blob, a page, a token
	maxHeaderBytes = 64 << 10
	maxRedirects   = 5
	headerTimeout  = 10 * time.Second
	transportTime  = 10 * time.Minute
	maxTransports  = 256
	maxIdle        = 100 // connections to all hosts of a registry
)

// transports keeps connections alive between pulls. containerd's configuration
// makes new HTTP transports each time it is read; one made earlier for the same
// place and the same TLS settings takes their stead. Connections carry no
// credentials other than client certificates, which are compared.
type transports struct {
	now       func() time.Time
	forbidden func(netip.Addr) bool
	trace     func(Request) // or nil

	mu   sync.Mutex
	kept map[string]*transport
}

// transport bounds the bodies it hands out: containerd's token fetcher reads
// its answers to the end.
type transport struct {
	outer     http.RoundTripper // base, or containerd's fallback from HTTPS to HTTP around it
	base      *http.Transport
	away      *http.Transport // to where a registry sent the request
	forbidden func(netip.Addr) bool
	trace     func(Request) // or nil
	made      time.Time
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	carrier, err := t.carrier(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	send := func() (*http.Response, error) { return carrier.RoundTrip(req) }
	var resp *http.Response
	if t.trace == nil {
		resp, err = send()
	} else {
		resp, err = traced(req, t.trace, send)
	}
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBytes + 1}
	watchToken(req, resp)
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("read body: %w", ErrTooLarge)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// share puts kept transports into the hosts that hosts.toml gave for a registry.
// A kept one is used for ten minutes, so that what cannot be compared here, like
// a dial timeout or a localhost registry that turned to HTTPS, gets through too.
func (t *transports) share(registry string, hosts []docker.RegistryHost, bases map[*http.Client]*http.Transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, host := range hosts {
		base := bases[host.Client]
		if base == nil {
			continue // this client was done with an earlier host
		}
		delete(bases, host.Client)
		// An HTTPS host must not inherit the fallback to HTTP that it had before.
		fallsBack := host.Client.Transport != http.RoundTripper(base)
		key := fmt.Sprintf("%s %d %s://%s %t", registry, i, host.Scheme, host.Host, fallsBack)
		host.Client.Transport = t.keep(key, host.Client.Transport, base)
	}
}

func (t *transports) keep(key string, outer http.RoundTripper, base *http.Transport) *transport {
	old := t.kept[key]
	switch {
	case old != nil && t.now().Sub(old.made) < transportTime && sameTLS(old.base.TLSClientConfig, base.TLSClientConfig):
		return old
	case old != nil:
		old.closeIdle()
	case len(t.kept) >= maxTransports:
		t.closeAll()
	}
	fresh := &transport{
		outer: outer, base: base, away: away(base, t.forbidden), forbidden: t.forbidden, trace: t.trace, made: t.now(),
	}
	t.kept[key] = fresh
	return fresh
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeAll()
}

func (t *transports) closeAll() {
	for _, old := range t.kept {
		old.closeIdle()
	}
	clear(t.kept)
}

func (t *transport) closeIdle() {
	t.base.CloseIdleConnections()
	t.away.CloseIdleConnections()
}

// sameTLS compares what hosts.toml can set.
func sameTLS(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.RootCAs.Equal(b.RootCAs) && a.InsecureSkipVerify == b.InsecureSkipVerify &&
		slices.EqualFunc(a.Certificates, b.Certificates, func(x, y tls.Certificate) bool {
			return slices.EqualFunc(x.Certificate, y.Certificate, slices.Equal[[]byte])
		})
}

// tune bounds a transport that containerd's configuration made.
func tune(t *http.Transport) {
	t.ResponseHeaderTimeout = headerTimeout
	t.MaxResponseHeaderBytes = maxHeaderBytes
	t.DisableCompression = true // sizes and digests are of the plain bytes
	// HTTP/1.1 alone, as containerd has it by its own dialer: there are hosts and
	// boxes on the way whose HTTP/2 stalls. Look-ups of all candidates run at once
	// over as many connections, which the next look-ups find open.
	t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdle, maxIdle
}

// followSame is the redirect rule for token servers: these requests carry the
// password, in a body that net/http would send again to wherever it is told.
func followSame(req *http.Request, via []*http.Request) error {
	if !sameHost(req, via[0]) {
		return errors.New("token server redirects to another host")
	}
	return follow(req, via)
}

// followContent is the redirect rule for registries. A referrers request sent to
// another host by 301, 302 or 303 is not followed: those are front pages and
// login pages of registries without the API (ghcr.io sends 303 to github.com),
// and following would reach out to hosts that neither reference nor hosts.toml names.
func followContent(req *http.Request, via []*http.Request) error {
	if isReferrersPath(via[0].URL.Path) && !sameHost(req, via[0]) && req.Response.StatusCode <= http.StatusSeeOther {
		return http.ErrUseLastResponse
	}
	return follow(req, via)
}

func follow(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	// The request that was really sent may differ from the one in via: localhost
	// registries fall back to plain HTTP.
	if from := req.Response.Request.URL; from.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirect from https to " + req.URL.Scheme)
	}
	// net/http keeps Authorization for other ports and for subdomains of the
	// first host, and keeps the headers of hosts.toml everywhere.
	for _, r := range append(via[1:len(via):len(via)], req) {
		if !sameHost(r, via[0]) {
			maps.DeleteFunc(req.Header, func(key string, _ []string) bool { return key != "Accept" && key != "User-Agent" })
		}
	}
	return nil
}

func sameHost(a, b *http.Request) bool { return strings.EqualFold(a.URL.Host, b.URL.Host) }
