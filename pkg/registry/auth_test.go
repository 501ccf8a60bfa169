package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const secret = "hunter2"

func TestCredentialsGoToTheHostThatContainerdWouldShowThemTo(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	tests := []struct {
		name       string
		auth       *Auth
		user, pass string
		fails      bool
	}{
		{name: "none"},
		{name: "empty", auth: &Auth{}},
		{name: "password", auth: &Auth{Username: "u", Password: secret}, user: "u", pass: secret},
		{name: "server address matches", auth: &Auth{Username: "u", Password: secret, ServerAddress: "https://reg.test:5000/v1/"}, user: "u", pass: secret},
		{name: "server address differs", auth: &Auth{Username: "u", Password: secret, ServerAddress: "https://other.test"}},
		{name: "server address without scheme matches nothing", auth: &Auth{Username: "u", Password: secret, ServerAddress: "reg.test"}},
		{name: "server address unparsable", auth: &Auth{ServerAddress: "https://u:" + secret + "@h:x"}, fails: true},
		{name: "identity token", auth: &Auth{IdentityToken: secret}, pass: secret},
		{name: "password before identity token", auth: &Auth{Username: "u", Password: "p", IdentityToken: secret}, user: "u", pass: "p"},
		{name: "base64", auth: &Auth{Auth: encode("u:p:q")}, user: "u", pass: "p:q"},
		{name: "base64 with trailing NULs", auth: &Auth{Auth: encode("u:p\x00\x00")}, user: "u", pass: "p"},
		{name: "identity token before base64", auth: &Auth{IdentityToken: "t", Auth: encode("u:p")}, pass: "t"},
		{name: "invalid base64", auth: &Auth{Auth: secret + "!"}, fails: true},
		{name: "base64 without colon", auth: &Auth{Auth: encode(secret)}, fails: true},
		{name: "registry token is not supported", auth: &Auth{RegistryToken: secret}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			user, pass, err := tt.auth.forHost("reg.test:5000")
			if user != tt.user || pass != tt.pass || (err != nil) != tt.fails {
				t.Errorf("got %q, %q, %v", user, pass, err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("error shows the secret: %v", err)
			}
		})
	}
}

func TestCredentialsNeverAppearInText(t *testing.T) {
	t.Parallel()
	a := Auth{Username: secret, Password: secret, IdentityToken: secret, RegistryToken: secret, ServerAddress: secret, Auth: secret}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", a, "pointer", &a, "nested", struct{ A Auth }{a})
	encoded, err := json.Marshal(map[string]any{"a": a, "b": &a})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{
		log.String(), string(encoded), a.String(),
		fmt.Sprintf("%v %+v %#v %s %q", a, a, a, a, a),
		fmt.Sprintf("%v %+v %#v %+v", &a, &a, &a, struct{ A *Auth }{&a}),
		fmt.Sprintf("%+v %#v", []Auth{a}, []Auth{a}),
	}
	for _, text := range shown {
		if strings.Contains(text, secret) || text == "" {
			t.Errorf("shows %q", text)
		}
	}
}

func TestBasicCredentialsAreSentWhenChallenged(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	want := s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, _ := r.BasicAuth(); user == "u" && pass == secret {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	got, err := direct(t, s, &Auth{Username: "u", Password: secret}).Resolve(t.Context(), "1")
	if err != nil || got.Digest != want.Digest {
		t.Errorf("right password: %v, %v", got, err)
	}
	for name, auth := range map[string]*Auth{
		"none":              nil,
		"wrong password":    {Username: "u", Password: "x" + secret},
		"for another host":  {Username: "u", Password: secret, ServerAddress: "https://other.test"},
		"not base64":        {Auth: secret + "!"},
		"only identity":     {IdentityToken: secret},
		"only registry one": {RegistryToken: secret},
	} {
		before := s.count("HEAD")
		_, err := direct(t, s, auth).Resolve(t.Context(), "1")
		if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if n := s.count("HEAD") - before; n > 2 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

// tokenStub is a registry with a token server of its own. The token names the
// user it was given to.
func tokenStub(t *testing.T) *stub {
	s := newStub(t)
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			user, pass := r.FormValue("username"), r.FormValue("password")
			if r.FormValue("grant_type") == "refresh_token" {
				user, pass = "identity", r.FormValue("refresh_token")
			}
			if pass != secret || r.FormValue("scope") != "repository:app:pull" {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-of-" + user})
			return true
		}
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer token-of-") {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token?sig=`+secret+`",service="stub"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	return s
}

func TestTokensAreNeverSharedBetweenCredentials(t *testing.T) {
	t.Parallel()
	s := tokenStub(t)
	desc := s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	r := testRegistry(t, Options{})
	pull := func(auth *Auth) error {
		repo := repository(t, r, s.host()+"/app", auth)
		if _, err := repo.Resolve(t.Context(), "1"); err != nil {
			return err
		}
		_, err := repo.Manifest(t.Context(), desc)
		return err
	}
	for name, auth := range map[string]*Auth{
		"alice": {Username: "alice", Password: secret}, "bob": {Username: "bob", Password: secret}, "identity": {IdentityToken: secret},
	} {
		s.Forget()
		if err := pull(auth); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := s.headers("Authorization"); !slices.Equal(got, []string{"", "Bearer token-of-" + name}) {
			t.Errorf("%s: registry saw %q", name, got)
		}
		if n := s.count("/token"); n != 1 {
			t.Errorf("%s: %d tokens fetched for two requests, want 1", name, n)
		}
	}
	for name, auth := range map[string]*Auth{"anonymous": nil, "mallory": {Username: "mallory", Password: "wrong"}} {
		s.Forget()
		err := pull(auth)
		if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "?") {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.headers("Authorization"); slices.ContainsFunc(got, func(h string) bool { return strings.HasPrefix(h, "Bearer") }) {
			t.Errorf("%s: registry saw %q", name, got)
		}
	}
}

func TestAnswersOfATokenServerAreBounded(t *testing.T) {
	t.Parallel()
	other := newStub(t)
	for name, answer := range map[string]http.HandlerFunc{
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"token":"`))
			chunk := []byte(strings.Repeat("x", 1<<16))
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"redirect with the password to another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
	} {
		s := newStub(t)
		s.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				answer(w, r)
				return true
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		_, err := direct(t, s, &Auth{Username: "u", Password: secret}).Resolve(t.Context(), "1")
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "endless body" && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := other.requests(); len(got) > 0 {
		t.Errorf("the other host was asked %q", got)
	}
}
