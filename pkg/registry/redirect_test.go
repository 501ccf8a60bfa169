package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestRedirectsAreBoundedAndLoseCredentials(t *testing.T) {
	t.Parallel()
	desc := descOf("content")
	s, other := newStub(t), newStub(t) // same address, another port: net/http takes it for the same host
	other.put("/elsewhere", "x/y", []byte("content"))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.URL+"/v2/app/blobs/"+desc.Digest.String(), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(secure.Close)
	root := hostsFile(t, fmt.Sprintf("server = %q\n[header]\nX-Site = \"a\"\n", s.URL))
	r := testRegistry(t, Options{HostsPath: root})
	hops := 0
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if hops--; hops >= 0 {
			http.Redirect(w, r, s.URL+r.URL.Path+"?sig="+secret, http.StatusTemporaryRedirect)
			return true
		}
		http.Redirect(w, r, other.URL+"/elsewhere?sig="+secret, http.StatusFound)
		return true
	}
	fetch := func(n int) error {
		hops = n
		repo := repository(t, r, "registry.test/app", &Auth{Username: "u", Password: secret})
		_, err := repo.Blob(t.Context(), desc)
		return err
	}
	if err := fetch(maxRedirects - 1); err != nil {
		t.Errorf("five redirects: %v", err)
	}
	for _, header := range []string{"Authorization", "X-Site", "Referer"} {
		if got := other.headers(header); !slices.Equal(got, []string{""}) {
			t.Errorf("other host saw %s %q", header, got)
		}
	}
	if got := s.headers("X-Site"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("registry saw X-Site %q", got)
	}
	for _, n := range []int{maxRedirects, 1000} {
		before := len(s.requests())
		err := fetch(n)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%d redirects and one more: %v", n, err)
		}
		if asked := len(s.requests()) - before; asked > 2+maxRedirects {
			t.Errorf("%d requests", asked)
		}
	}
	repo := repository(t, testRegistry(t, Options{}), strings.TrimPrefix(secure.URL, "https://")+"/app", nil)
	before := len(s.requests())
	if _, err := repo.Blob(t.Context(), desc); err == nil || len(s.requests()) > before {
		t.Errorf("https to http: %v", err)
	}
}

func TestChallengeBehindRedirectIsNotAnswered(t *testing.T) {
	t.Parallel()
	s, other := newStub(t), newStub(t)
	other.hook = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+other.URL+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+"/elsewhere", http.StatusTemporaryRedirect)
		return true
	}
	_, err := direct(t, s, &Auth{Username: "u", Password: secret}).Blob(t.Context(), descOf("content"))
	if !errors.Is(err, ErrUnauthorized) || other.count("/token") > 0 || s.count("GET") != 1 {
		t.Errorf("got %v, other host was asked %q", err, other.requests())
	}
}

func TestErrorsNameTheRequestAndHideSecrets(t *testing.T) {
	t.Parallel()
	leaky := &url.Error{Op: "Get", URL: "https://h/x?token=" + secret, Err: errors.New(`dial "https://h/y?sig=` + secret + `"`)}
	tests := []struct {
		err  *Error
		want string
	}{
		{&Error{Op: "resolve", Object: "r.test/app:1", Host: "r.test", Status: 404, Kind: ErrNotFound}, "resolve r.test/app:1: r.test answered 404 Not Found"},
		{&Error{Op: "resolve", Object: "r.test/app:1", Host: "r.test", Status: 599}, "resolve r.test/app:1: r.test answered 599"},
		{&Error{Op: "fetch blob", Object: "r.test/app@d", Kind: ErrTooLarge}, "fetch blob r.test/app@d: too large"},
		{&Error{Op: "resolve", Object: "r.test/app:1", Host: "m.test", Cause: fmt.Errorf("log in: %w", leaky)}, `resolve r.test/app:1: m.test: log in: dial "https://h/y?[redacted]"`},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
