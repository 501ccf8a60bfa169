package registry

import (
	"bytes"
	"encoding/json"
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
	if c.asksAPI(req) && c.pages == nil { // a host with a first page has the API
		lacking, ofImage := lacksAPI(resp)
		switch {
		case lacking && (ofImage || c.believe(resp, host)):
			failure.Kind = ErrNoReferrersAPI
			return failure
		case lacking:
			failure.Status, failure.Cause = 0, fmt.Errorf(
				"answered %s with %.100q where it gave lists of referrers before", statusText(resp.StatusCode), mediaType(resp))
			return failure
		}
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	failure.Kind = kindOfStatus(resp.StatusCode)
	return failure
}

// believe tells whether an answer shows that the host has no referrers API, and
// remembers it. Of one that had it not long ago, a page for people shows only that
// it is out of order, or something before it: taken for a lack, every artifact
// would seem to be gone.
func (c *call) believe(resp *http.Response, host docker.RegistryHost) bool {
	owner, key := c.repo.owner, memoryKey(host, c.repo.path)
	code := resp.StatusCode
	plain := code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented
	credible := plain && mediaType(resp) != "text/html"
	switch {
	case owner.withAPI.has(key):
		return credible
	case credible:
		owner.withoutAPI.keep(key, memoryTime)
	default:
		owner.withoutAPI.keep(key, doubtTime)
	}
	return true
}

func (c *call) asksAPI(req *http.Request) bool {
	return c.kind == referring && isReferrersPath(req.URL.Path)
}

// lacksAPI tells an answer of a host without the referrers API. Registries say
// so in many ways: distribution by 404, others by 400, 405 or 501, by a redirect
// to a login page, or by such a page itself. ofImage is set if the same answer may
// come from a host that has the API, about this image alone.
func lacksAPI(resp *http.Response) (lacking, ofImage bool) {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return mediaType(resp) != ocispec.MediaTypeImageIndex, false
	case code == http.StatusNotFound:
		return true, isUnknownImage(resp.Body)
	case code >= 300 && code <= 399,
		code == http.StatusBadRequest, code == http.StatusMethodNotAllowed, code == http.StatusNotImplemented:
		return true, false
	}
	return false, false
}

// isUnknownImage tells the error body of a registry without this image from the
// plain text of one without such a route.
func isUnknownImage(body io.Reader) bool {
	type failure struct {
		Code string `json:"code"`
	}
	var answer struct {
		Errors []failure `json:"errors"`
	}
	err := json.NewDecoder(io.LimitReader(body, maxErrorBody)).Decode(&answer)
	return err == nil && slices.ContainsFunc(answer.Errors, func(f failure) bool {
		return f.Code == "NAME_UNKNOWN" || f.Code == "MANIFEST_UNKNOWN"
	})
}

// take reads a good answer in full and makes its header say what oras-go relies
// on: the registry's word on digest and size gives way to the bytes.
func (c *call) take(req *http.Request, resp *http.Response, host docker.RegistryHost) error {
	media := mediaType(resp)
	if resp.Request.Method == http.MethodGet {
		body, err := c.read(resp)
		if err != nil {
			return err
		}
		if err := c.verify(media, body); err != nil {
			return err
		}
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Docker-Content-Digest", c.algorithm().FromBytes(body).String())
	} else if c.want.Digest != "" {
		resp.Header.Set("Docker-Content-Digest", c.want.Digest.String())
	}
	resp.Header.Set("Content-Type", media)
	resp.Header.Del("Accept-Ranges")
	if c.asksAPI(req) {
		if err := c.relink(req, resp, host); err != nil {
			return err
		}
		c.pages = &host
		c.repo.owner.withAPI.keep(memoryKey(host, c.repo.path), memoryTime)
	}
	resp.Request = req
	return nil
}

// read reads a body that has at most the bytes it may have. It does not read by
// fsutil, for too many bytes are corrupt where their number is known.
func (c *call) read(resp *http.Response) ([]byte, error) {
	sized := c.want.Digest != "" && c.want.Size >= 0
	if sized && resp.ContentLength >= 0 && resp.ContentLength != c.want.Size {
		return nil, fmt.Errorf("%w: %d bytes announced, want %d", ErrCorrupt, resp.ContentLength, c.want.Size)
	}
	limit := int64(maxBytes)
	if sized {
		limit = c.want.Size
	}
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d are read", ErrTooLarge, resp.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
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

// verify holds content against the digest it was asked by. What a referrers tag
// holds must be an index, or the subject, which oras-go takes for nothing.
func (c *call) verify(media string, body []byte) error {
	got := c.algorithm().FromBytes(body)
	if c.want.Digest != "" && got != c.want.Digest {
		return fmt.Errorf("%w: digest is %s", ErrCorrupt, got)
	}
	if c.kind == referring && got != c.subject && media != ocispec.MediaTypeImageIndex {
		return fmt.Errorf("%w: referrers tag holds %.100q, not an image index", ErrCorrupt, media)
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
		path.Join("/v2", rest) != req.URL.Path {
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
