package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
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
	listing               // tags or repositories: the registry itself, else hosts trusted with names
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
	limit   int64              // of a body of unknown size; 0 is maxBytes
	body    []byte             // what came, verified
	pages   *int               // referring, listing: the host that gave the first page
	list    *shortlist         // referring: what was read so far

	personal bool // what was learned of referrers applies to these credentials alone
	readable bool // a host that refused to list referrers lets them read the image
}

// Do implements remote.Client. Where no host has a good answer, the last one's is
// returned: by the rules of hosts.toml that is the registry itself. A mirror that
// does not have something proves nothing, and one that is down does not either, unless
// it is the one that resolved the reference.
func (c *call) Do(req *http.Request) (*http.Response, error) {
	hosts := c.hostsFor(req)
	if len(hosts) == 0 {
		if c.asksAPI(req) {
			return nil, errdef.ErrUnsupported // another call learned so a moment ago
		}
		return nil, c.failed("", errors.New("hosts.toml has no host with the capabilities for this request"))
	}
	failure := c.knownAbsence(req, hosts[0])
	settled := failure != nil
	for n, i := range hosts {
		resp, err := c.ask(req, i, n < len(hosts)-1 || settled)
		if err == nil {
			return resp, nil
		}
		if !settled {
			failure, settled = err, c.isSettled(i)
		}
		if req.Context().Err() != nil {
			break
		}
		c.repo.owner.log.Debug("skipping registry host", "host", err.Host, "error", err)
	}
	if c.kind == referring && errors.Is(failure, ErrNoReferrersAPI) {
		return nil, errdef.ErrUnsupported // oras-go falls back to the tag schema
	}
	if c.kind == referring && errors.Is(failure, ErrNotFound) {
		return nil, errdef.ErrNotFound // no referrers tag, so no referrers
	}
	return nil, failure
}

// knownAbsence is the failure of the host that resolved the reference, if it is not asked
// for the referrers API because it is known to lack it.
func (c *call) knownAbsence(req *http.Request, first int) *Error {
	resolver, resolved := c.repo.resolver()
	if !c.asksAPI(req) || c.pages != nil || !resolved || first == resolver {
		return nil
	}
	if host := c.repo.hosts[resolver]; c.repo.owner.withoutAPI.has(c.repo.memoryKey(host)) {
		return &Error{Op: c.op, Object: c.name(), Host: host.Host, Kind: ErrNoReferrersAPI}
	}
	return nil
}

// ask asks one host, unless it is known not to answer. If others could answer as well,
// it keeps some of the caller's time for them.
func (c *call) ask(req *http.Request, i int, others bool) (*http.Response, *Error) {
	host := c.repo.hosts[i]
	if c.isSilent(req, host) {
		return nil, c.failed(host.Host, errSilent)
	}
	start := time.Now()
	ctx, span := c.span(req, host)
	resp, err := c.attempt(ctx, req, host, others)
	took := time.Since(start)
	if err == nil {
		c.repo.owner.observe(c.op, nil, took)
		span.End()
		if c.op == opResolve {
			c.repo.setResolver(i)
		} else if c.asksAPI(req) || c.kind == listing {
			c.pages = &i
		}
		return resp, nil
	}
	if err.Status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(err.Status))
	}
	tracing.End(span, err)
	c.repo.owner.observe(c.op, err, took)
	c.waited(req, host, err, took)
	return nil, err
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

// attempt asks one host.
func (c *call) attempt(ctx context.Context, req *http.Request, host docker.RegistryHost, more bool) (*http.Response, *Error) {
	ctx, cancel := attemptContext(ctx, more)
	defer cancel()
	resp, err := c.send(ctx, req, host, req.Method)
	if err == nil && req.Method == http.MethodHead && c.needsGet(resp) {
		resp.Body.Close()
		resp, err = c.send(ctx, req, host, http.MethodGet)
	}
	if err != nil {
		return nil, c.unanswered(req, host, err)
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

// unanswered makes the error of a request that had no answer. Where the registry wants
// credentials that there are none of, that is a refusal to list the referrers.
func (c *call) unanswered(req *http.Request, host docker.RegistryHost, err error) *Error {
	failure := c.failed(host.Host, err)
	if c.kind != referring || c.pages != nil || !errors.Is(failure, ErrUnauthorized) || !c.mayRead(req, host) {
		return failure
	}
	if c.personal, failure.Kind = true, ErrNotFound; c.asksAPI(req) {
		failure.Kind = ErrNoReferrersAPI
	}
	return failure
}

// attemptContext keeps half of the caller's time for the hosts after this one:
// a mirror that swallows packets must not use up what the registry needs.
func attemptContext(ctx context.Context, more bool) (context.Context, context.CancelFunc) {
	limit := attemptTime
	if deadline, ok := ctx.Deadline(); ok && more {
		limit = min(limit, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, limit)
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
	ctx = context.WithValue(ctx, originKey{}, c.repo.origin(host.Host))
	// For the scope of the token that containerd's authorizer requests.
	ctx = c.scoped(ctx, host)
	for challenged, renewed := false, false; ; {
		out, err := c.address(ctx, req, host, method)
		if err != nil {
			return nil, err
		}
		if err := host.Authorizer.Authorize(ctx, out); err != nil {
			return nil, err
		}
		resp, err := client.Do(out)
		if err == nil && !renewed && refusedEarlier(ctx, host, resp, out) {
			renewed = true
			if resp.StatusCode == http.StatusForbidden { // which is not a challenge
				drain(resp)
				resp.Body.Close()
				continue
			}
		}
		// A challenge from the far end of a redirect is not answered: the pull's
		// credentials are for the hosts of its registry.
		if err != nil || challenged || resp.StatusCode != http.StatusUnauthorized || !sameHost(resp.Request, out) {
			return resp, err
		}
		challenged = true
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
	u.Path, u.RawPath = path.Join("/", host.Path, c.target(req.URL.Path, host)), ""
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
