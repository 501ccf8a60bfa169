package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxErrorBody = 8 << 10

// check looks at the head of an answer and says what is wrong with it, if
// anything. It remembers hosts without a referrers API.
func (c *call) check(req *http.Request, resp *http.Response, host docker.RegistryHost) *Error {
	failure := &Error{Op: c.op, Object: c.name(), Host: host.Host, Status: resp.StatusCode}
	ok := resp.StatusCode == http.StatusOK
	if c.kind == referring && (ok || c.pages == nil) { // a host with a first page has the API
		means := meaningOf(resp)
		switch {
		case means == isList:
			return nil
		case c.pages == nil:
			return c.absence(req, resp, host, means)
		}
		failure.Status, failure.Kind = 0, ErrCorrupt // a part of a list is not a list
		return failure
	}
	if ok {
		return nil
	}
	failure.Kind = kindOfStatus(resp.StatusCode)
	return failure
}

// absence makes the error of an answer that is not a list of referrers.
func (c *call) absence(req *http.Request, resp *http.Response, host docker.RegistryHost, means meaning) *Error {
	failure := &Error{Op: c.op, Object: c.name(), Host: host.Host, Status: resp.StatusCode}
	switch {
	case means == mayBeOutage:
		return failure
	case means == refused && !c.mayRead(req, host):
		failure.Kind = ErrUnauthorized
		return failure
	case means == refused:
		c.personal = true
	}
	switch {
	case !c.asksAPI(req):
		failure.Kind = ErrNotFound
	case (means == noAPI || means == probablyNoAPI) && !c.believe(means, host):
		failure.Status, failure.Cause = 0, fmt.Errorf(
			"answered %s with %.100q where it gave lists of referrers before", statusText(resp.StatusCode), mediaType(resp))
	default:
		failure.Kind = ErrNoReferrersAPI
	}
	return failure
}

// believe tells whether an answer shows that the host has no referrers API, and
// remembers it. If the host had it not long ago, a page for people shows only that
// it is out of order, or something in front of it: taken for a lack, every artifact
// would seem to be gone.
func (c *call) believe(means meaning, host docker.RegistryHost) bool {
	owner, key := c.repo.owner, c.repo.memoryKey(host)
	switch {
	case owner.withAPI.has(key):
		return means == noAPI
	case means == noAPI:
		owner.withoutAPI.keep(key, memoryTime)
	default:
		owner.withoutAPI.keep(key, doubtTime)
	}
	return true
}

// mayRead tells whether a host that refuses to list the referrers of an image lets these
// credentials read the image itself, now. Otherwise they are wrong, or a token expired
// since the reference was resolved: that there are no referrers does not follow.
func (c *call) mayRead(req *http.Request, host docker.RegistryHost) bool {
	if c.readable {
		return true
	}
	image := req.Clone(req.Context())
	image.URL.Path = path.Join("/v2", c.repo.path, "manifests", c.subject.String())
	image.URL.RawPath, image.URL.RawQuery = "", ""
	image.Header.Set("Accept", strings.Join(manifestTypes(), ", "))
	ctx, cancel := attemptContext(req.Context(), true)
	defer cancel()
	resp, err := c.send(ctx, image, host, http.MethodHead)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	c.readable = resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotFound
	return c.readable
}

func (c *call) asksAPI(req *http.Request) bool {
	return c.kind == referring && isReferrersPath(req.URL.Path)
}

// take reads a good answer in full and makes its header say what oras-go relies
// on: the registry's word on digest and size gives way to the bytes.
func (c *call) take(req *http.Request, resp *http.Response, host docker.RegistryHost) error {
	media := mediaType(resp)
	if c.kind == referring {
		return c.takeList(req, resp, host)
	}
	if c.kind == listing {
		if err := c.nextPage(req, resp); err != nil {
			return err
		}
	}
	if resp.Request.Method == http.MethodGet {
		body, err := c.read(resp)
		if err != nil {
			return err
		}
		if err := c.verify(body); err != nil {
			return err
		}
		c.body = body
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Docker-Content-Digest", c.algorithm().FromBytes(body).String())
	} else if c.want.Digest != "" {
		resp.Header.Set("Docker-Content-Digest", c.want.Digest.String())
	}
	resp.Header.Set("Content-Type", media)
	resp.Header.Del("Accept-Ranges")
	resp.Request = req
	return nil
}

// takeList reads a page of a list of referrers. oras-go gets an empty page in its place,
// with the link to the next one.
func (c *call) takeList(req *http.Request, resp *http.Response, host docker.RegistryHost) error {
	page, sum := *c.list, c.subject.Algorithm().Hash()
	page.kept = slices.Clone(page.kept)
	limit := maxListed
	if c.repo.listed.Load() > maxListedInAll {
		limit = maxReferrers
	}
	body := io.TeeReader(resp.Body, sum)
	if err := page.read(body, limit); err != nil {
		return err
	}
	c.repo.listed.Add(int64(page.total - c.list.total))
	if page.incomplete == "" && !c.asksAPI(req) {
		if _, err := io.Copy(sum, io.LimitReader(resp.Body, maxErrorBody)); err != nil {
			return fmt.Errorf("read body: %w", err)
		}
		if digest.NewDigest(c.subject.Algorithm(), sum) == c.subject {
			page = *newShortlist() // the tag holds the subject itself
		}
	}
	empty := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(empty)), int64(len(empty))
	resp.Header.Set("Docker-Content-Digest", c.algorithm().FromBytes(empty).String())
	resp.Header.Set("Content-Type", mediaType(resp))
	resp.Header.Del("Accept-Ranges")
	if c.asksAPI(req) {
		if page.incomplete != "" {
			resp.Header.Del("Link")
		}
		if err := c.relink(req, resp, host); err != nil {
			return err
		}
		c.repo.owner.withAPI.keep(c.repo.memoryKey(host), memoryTime)
	}
	resp.Request, c.list = req, &page
	return nil
}

// read reads a body that has at most the bytes it may have. It does not read by
// fsutil, for too many bytes are corrupt where their number is known.
func (c *call) read(resp *http.Response) ([]byte, error) {
	sized := c.want.Digest != "" && c.want.Size >= 0
	if sized && resp.ContentLength >= 0 && resp.ContentLength != c.want.Size {
		return nil, fmt.Errorf("%w: %d bytes announced, want %d", ErrCorrupt, resp.ContentLength, c.want.Size)
	}
	limit := cmp.Or(c.limit, maxBytes)
	if sized {
		limit = c.want.Size
	}
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d are read", ErrTooLarge, resp.ContentLength, limit)
	}
	body, err := readAll(resp, limit+1)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read body: %w", err)
	case int64(len(body)) > limit && sized:
		return nil, fmt.Errorf("%w: more than the %d bytes wanted", ErrCorrupt, limit)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	case sized && int64(len(body)) < limit:
		return nil, fmt.Errorf("%w: %d bytes received, want %d", ErrCorrupt, len(body), limit)
	}
	return body, nil
}

// readAll reads a body up to a limit, in one piece of memory where its size is known.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	var body bytes.Buffer
	if size := min(resp.ContentLength, limit); size > 0 {
		body.Grow(int(size) + bytes.MinRead) // so that the end is noticed without growing
	}
	_, err := body.ReadFrom(io.LimitReader(resp.Body, limit))
	return body.Bytes(), err
}

// verify compares content with the digest it was requested by.
func (c *call) verify(body []byte) error {
	if got := c.algorithm().FromBytes(body); c.want.Digest != "" && got != c.want.Digest {
		return fmt.Errorf("%w: digest is %s", ErrCorrupt, got)
	}
	return nil
}

func (c *call) algorithm() digest.Algorithm {
	switch {
	case c.want.Digest != "":
		return c.want.Digest.Algorithm()
	case c.subject != "":
		return c.subject.Algorithm()
	}
	return digest.Canonical
}

// relink turns the link to the next page, which is in the host's own terms, into
// the terms of the reference, where oras-go will ask for it. It must stay with
// the host and with the referrers of this repository.
func (c *call) relink(req *http.Request, resp *http.Response, host docker.RegistryHost) error {
	link, ok := strings.CutPrefix(resp.Header.Get("Link"), "<")
	if !ok {
		resp.Header.Del("Link")
		return nil
	}
	target, _, _ := strings.Cut(link, ">")
	u, err := resp.Request.URL.Parse(target)
	if err != nil {
		return fmt.Errorf("%w: link to next page is not a URL", ErrCorrupt)
	}
	root := path.Join("/", host.Path)
	rest, inside := strings.CutPrefix(path.Clean(u.Path), strings.TrimSuffix(root, "/")+"/")
	if u.Host != host.Host || u.Scheme != resp.Request.URL.Scheme || !inside ||
		path.Join("/", rest) != c.target(req.URL.Path, host) {
		return fmt.Errorf("%w: link to next page points to another host or path", ErrCorrupt)
	}
	u.Scheme, u.Host, u.Path, u.RawPath = req.URL.Scheme, req.URL.Host, req.URL.Path, ""
	resp.Header.Set("Link", "<"+u.String()+">")
	return nil
}

// mediaType is the Content-Type without its parameters.
func mediaType(resp *http.Response) string {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media == "" {
		return "application/octet-stream"
	}
	return media
}
