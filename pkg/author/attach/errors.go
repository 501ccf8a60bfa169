package attach

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/imagefit/imagefit/internal/textutil"
)

const maxText = 300

// ErrRefused is matched by errors of a registry that does not let these
// credentials do what was asked.
var ErrRefused = errors.New("refused")

// failed makes an error that a person can act on, without the queries of URLs,
// which may hold secrets.
func (t *Target) failed(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s at %s: %w", what, t.host, err)
	}
	login := fmt.Sprintf("log in as one who may (docker login %s)", t.host)
	answer, ok := errors.AsType[*errcode.ErrorResponse](err)
	switch {
	case ok:
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%s at %s: %w: it asks for credentials; %s", what, t.host, ErrRefused, login)
	default:
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return fmt.Errorf("%s at %s: %s", what, t.host, clean(err.Error()))
	}
	reply := strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)))
	if len(answer.Errors) > 0 {
		reply += " (" + clean(answer.Errors.Error()) + ")"
	}
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return fmt.Errorf("%s at %s: %w: it answered %s; %s", what, t.host, ErrRefused, reply, login)
	}
	return fmt.Errorf("%s: %s answered %s", what, t.host, reply)
}

// clean makes one line of bounded length of text that a registry had a hand in.
func clean(s string) string { return textutil.Line(s, maxText) }
