package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"oras.land/oras-go/v2/errdef"

	"github.com/imagefit/imagefit/pkg/tracing"
)

// attemptTime bounds one host's answer where the caller sets no deadline.
const attemptTime = 30 * time.Second

// kind is what an operation asks of a host, in the terms of hosts.toml.
type kind int

const (
	resolving kind = iota // a name to a digest: only hosts that are trusted to
	fetching              // by digest: any host, the content is verified
	referring             // what belongs to an image: hosts trusted with referrers
)

// call is one operation of a Repository. It is oras-go's HTTP client: it takes
// requests addressed to the registry of the reference, sends each to the hosts
// that may answer it, in order, and returns the first good answer, read in full.
type call struct {
	repo    *Repository
	op      string
	kind    kind
	object  string
	want    ocispec.Descriptor // fetching: what must come; size -1 if unknown
	subject digest.Digest      // referring: whose referrers
	pages   *docker.RegistryHost
}

// Do implements remote.Client. Where no host has a good answer, the last one's is
// returned: by the rules of hosts.toml that is the registry itself. A mirror that
// does not have something proves nothing, and one that is down does not either.
func (c *call) Do(req *http.Request) (*http.Response, error) {
	hosts := c.hostsFor(req)
	if len(hosts) == 0 {
		if c.asksAPI(req) {
			return nil, errdef.ErrUnsupported // another call learned so a moment ago
		}
		return nil, c.failed("", errors.New("hosts.toml has no host with the capabilities for this request"))
	}
	var failure *Error
	for i, host := range hosts {
		start := time.Now()
		ctx, span := c.span(req, host)
		resp, err := c.attempt(ctx, req, host, i < len(hosts)-1)
		if err == nil {
			c.repo.owner.observe(c.op, nil, time.Since(start))
			span.End()
			return resp, nil
		}
		if err.Status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(err.Status))
		}
		tracing.End(span, err)
		c.repo.owner.observe(c.op, err, time.Since(start))
		failure = err
		if req.Context().Err() != nil {
			break
		}
		c.repo.owner.log.Debug("skipping registry host", "host", host.Host, "error", err)
	}
	if c.kind == referring && errors.Is(failure, ErrNoReferrersAPI) {
		return nil, errdef.ErrUnsupported // oras-go falls back to the tag schema
	}
	if c.kind == referring && errors.Is(failure, ErrNotFound) {
		return nil, errdef.ErrNotFound // no referrers tag, so no referrers
	}
	return nil, failure
}

// span begins the span of asking one host. What is sent to it and to its token
// server is not to know of that: containerd's client would make spans that show
// whole URLs.
func (c *call) span(req *http.Request, host docker.RegistryHost) (context.Context, trace.Span) {
	ctx, span := tracing.StartClient(req.Context(), c.op)
	if span.IsRecording() {
		at := url.URL{Host: host.Host}
		span.SetAttributes(semconv.ServerAddress(at.Hostname()), tracing.Object.String(c.name()))
		if port, err := strconv.Atoi(at.Port()); err == nil {
			span.SetAttributes(semconv.ServerPort(port))
		}
	}
	return tracing.Hide(ctx), span
}

// hostsFor picks the hosts that may answer a request, as containerd would: it
// wants both pull and resolve for a tag, and asks for a referrers tag at the
// hosts with referrers, or if none has, at those that may resolve tags.
func (c *call) hostsFor(req *http.Request) []docker.RegistryHost {
	switch {
	case c.kind == fetching:
		return c.able(docker.HostCapabilityPull)
	case c.asksAPI(req):
		return c.apiHosts()
	case c.kind == referring:
		if hosts := c.able(docker.HostCapabilityReferrers); len(hosts) > 0 {
			return hosts
		}
	}
	return c.able(docker.HostCapabilityPull | docker.HostCapabilityResolve)
}

// apiHosts are the hosts to ask for the referrers API: those that may and are
// not known to lack it, and for a second page only the one that gave the first.
func (c *call) apiHosts() []docker.RegistryHost {
	if c.pages != nil {
		return []docker.RegistryHost{*c.pages}
	}
	return slices.DeleteFunc(c.able(docker.HostCapabilityReferrers), func(host docker.RegistryHost) bool {
		return c.repo.owner.withoutAPI.has(memoryKey(host, c.repo.path))
	})
}

func (c *call) able(caps docker.HostCapabilities) []docker.RegistryHost {
	return slices.DeleteFunc(slices.Clone(c.repo.hosts), func(host docker.RegistryHost) bool {
		return !host.Capabilities.Has(caps)
	})
}

// attempt asks one host. Where there are more, it keeps half of the caller's time for
// them: a mirror that swallows packets must not use up what the registry needs.
func (c *call) attempt(ctx context.Context, req *http.Request, host docker.RegistryHost, more bool) (*http.Response, *Error) {
	limit := attemptTime
	if deadline, ok := ctx.Deadline(); ok && more {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, err := c.send(ctx, req, host, req.Method)
	if err == nil && req.Method == http.MethodHead && c.needsGet(resp) {
		resp.Body.Close()
		resp, err = c.send(ctx, req, host, http.MethodGet)
	}
	if err != nil {
		return nil, c.failed(host.Host, err)
	}
	defer resp.Body.Close()
	if err := c.check(req, resp, host); err != nil {
		drain(resp)
		return nil, err
	}
	if err := c.take(req, resp, host); err != nil {
		return nil, c.failed(host.Host, err)
	}
	return resp, nil
}

// needsGet tells whether a HEAD left out what oras-go and containerd require.
func (c *call) needsGet(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed:
		return true
	case http.StatusOK:
		unnamed := c.want.Digest == "" && resp.Header.Get("Docker-Content-Digest") == ""
		return unnamed || resp.ContentLength < 0
	}
	return false
}

// send sends a request, and once more after a challenge.
func (c *call) send(ctx context.Context, req *http.Request, host docker.RegistryHost, method string) (*http.Response, error) {
	client := *host.Client
	client.CheckRedirect = followContent
	ctx = context.WithValue(ctx, originKey{}, host.Host)
	for first := true; ; first = false {
		out, err := c.address(ctx, req, host, method)
		if err != nil {
			return nil, err
		}
		if err := host.Authorizer.Authorize(ctx, out); err != nil {
			return nil, err
		}
		resp, err := client.Do(out)
		// A challenge from the far end of a redirect is not answered: the pull's
		// credentials are for the hosts of its registry.
		if err != nil || !first || resp.StatusCode != http.StatusUnauthorized || !sameHost(resp.Request, out) {
			return resp, err
		}
		err = host.Authorizer.AddResponses(ctx, []*http.Response{resp})
		if errdefs.IsNotImplemented(err) {
			return resp, nil // no challenge that anyone could meet: a plain 401
		}
		drain(resp)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
	}
}

// address turns a request to the registry of the reference into one to a host.
func (c *call) address(ctx context.Context, req *http.Request, host docker.RegistryHost, method string) (*http.Request, error) {
	u := *req.URL
	u.Scheme, u.Host = host.Scheme, host.Host
	u.Path, u.RawPath = path.Join("/", host.Path, strings.TrimPrefix(req.URL.Path, "/v2")), ""
	if registry := c.repo.registry; registry != host.Host && (registry != "docker.io" || host.Host != "registry-1.docker.io") {
		query := u.Query() // host is a mirror
		query.Set("ns", registry)
		u.RawQuery = query.Encode()
	}
	out, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	out.Header = req.Header.Clone()
	for key, values := range host.Header {
		out.Header[key] = append(out.Header[key], values...)
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", c.repo.owner.userAgent)
	}
	if c.asksAPI(req) {
		out.Header.Set("Accept", ocispec.MediaTypeImageIndex)
	}
	return out, nil
}

// isReferrersPath tells a request to the referrers API by its last two elements:
// ".../referrers/<digest>".
func isReferrersPath(p string) bool {
	return path.Base(path.Dir(p)) == "referrers" && strings.Contains(path.Base(p), ":")
}

// drain reads a short body, so that the connection can be used again. One that
// is long or of unknown length may trickle: it is not worth the time.
func drain(resp *http.Response) {
	if resp.ContentLength <= maxErrorBody {
		_, _ = io.CopyN(io.Discard, resp.Body, resp.ContentLength)
	}
}
