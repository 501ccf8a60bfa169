package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"oras.land/oras-go/v2/errdef"

	"github.com/imagefit/imagefit/internal/textutil"
	redact "github.com/imagefit/imagefit/pkg/secret"
)

// What a caller branches on. Any other error means that the
// registry could not be reached or could not answer.
var (
	// ErrNotFound: the registry has no such tag, manifest or blob.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: the registry, or the token server it named, refused the credentials.
	ErrUnauthorized = errors.New("not authorized")
	// ErrTooLarge: there is more than this package is willing to read.
	ErrTooLarge = errors.New("too large")
	// ErrCorrupt: what came is not what its descriptor says, or makes no sense.
	ErrCorrupt = errors.New("corrupt")
	// ErrNoReferrersAPI: no host has the referrers API, and the caller wants no fallback.
	ErrNoReferrersAPI = errors.New("no referrers API")
)

const maxErrorText = 256

// Error says which request went wrong, where and how. Its text holds no
// credential, no URL query and no message from an answer's body.
type Error struct {
	Op     string // what was being done, like "resolve"
	Object string // the repository with its tag or digest
	Host   string // who was asked; empty if no request was made
	Status int    // HTTP status of the answer; 0 if none came or it was not the trouble
	Kind   error  // one of the sentinels above, or nil
	Cause  error  // what lies underneath, or nil
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.Op, e.Object)
	if e.Host != "" {
		b.WriteString(e.Host)
		if e.Status == 0 {
			b.WriteString(": ")
		}
	}
	switch {
	case e.Status != 0:
		fmt.Fprintf(&b, " answered %s", statusText(e.Status))
	case e.Kind != nil && e.Cause != nil:
		fmt.Fprintf(&b, "%v: %s", e.Kind, strings.TrimPrefix(describe(e.Cause), e.Kind.Error()+": "))
	case e.Kind != nil:
		b.WriteString(e.Kind.Error())
	default:
		b.WriteString(describe(e.Cause))
	}
	return b.String()
}

// Unwrap gives both the kind and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Kind, e.Cause}, func(err error) bool { return err == nil })
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

// describe is the text of an error from further down, without what must not be
// shown: errors of net/http and of containerd's token fetcher spell URLs out in
// full, with their queries.
func describe(err error) string {
	if err == nil {
		return "unknown error"
	}
	if status, ok := errors.AsType[remoteerrors.ErrUnexpectedStatus](err); ok {
		return "token server answered " + statusText(status.StatusCode)
	}
	text := err.Error()
	if u, ok := errors.AsType[*url.Error](err); ok {
		text = strings.ReplaceAll(text, u.Error(), u.Err.Error())
	}
	return textutil.Cut(redact.Strip(text), maxErrorText)
}

// IsContentError tells content that is wrong or missing, and stays so however often
// it is requested, from a registry that does not answer.
func IsContentError(err error) bool {
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound)
}

// kindOfStatus sorts an HTTP status that means failure.
func kindOfStatus(code int) error {
	switch code {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrUnauthorized
	}
	return nil
}

// kindOfCause sorts an error that came instead of an answer.
func kindOfCause(err error) error {
	if status, ok := errors.AsType[remoteerrors.ErrUnexpectedStatus](err); ok {
		if status.StatusCode == http.StatusBadRequest {
			return ErrUnauthorized // OAuth's invalid_grant
		}
		return kindOfStatus(status.StatusCode)
	}
	switch {
	case errors.Is(err, docker.ErrInvalidAuthorization), errors.Is(err, errBadAuth):
		return ErrUnauthorized
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case errors.Is(err, ErrCorrupt):
		return ErrCorrupt
	}
	return nil
}

// kindOfReading sorts what oras-go says about an answer that did arrive.
func kindOfReading(err error) error {
	switch {
	case errors.Is(err, errdef.ErrInvalidReference), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, errdef.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, errdef.ErrTooManyPages), errors.Is(err, errdef.ErrSizeExceedsLimit), errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	}
	return ErrCorrupt
}
