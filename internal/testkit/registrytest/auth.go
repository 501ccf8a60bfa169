package registrytest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Login are the credentials of an account that may read the repository.
type Login struct{ User, Password string }

// AuthConformance runs the cases of a registry that asks for credentials: basic ones,
// or a token from the server that its challenge names.
func AuthConformance(t *testing.T, login Login, start func(t *testing.T) Registry) {
	run(t, start, map[string]func(*testing.T, client){
		"without credentials there is a challenge": challenged,
		"with credentials there is the manifest":   func(t *testing.T, c client) { admitted(t, c, login) },
		"wrong credentials are refused": func(t *testing.T, c client) {
			c.image(t, "1", "a")
			if got := c.authorized(t, Login{login.User, "wrong"}, "manifests/1"); got.status != http.StatusUnauthorized {
				t.Errorf("GET: %d, want 401", got.status)
			}
		},
	})
}

func challenged(t *testing.T, c client) {
	c.image(t, "1", "a")
	for _, path := range []string{"manifests/1", "blobs/" + missing().String(), "manifests/none"} {
		got := c.ask(t, http.MethodGet, path)
		wantRefused(t, "GET "+path, got, http.StatusUnauthorized, "UNAUTHORIZED")
		scheme, parameters := challengeOf(got)
		if scheme == "bearer" && parameters["scope"] != "repository:"+c.Repository()+":pull" || parameters["realm"] == "" {
			t.Errorf("GET %s: challenge %q, want a realm, and a scope for a token", path, got.header.Get("WWW-Authenticate"))
		}
	}
}

func admitted(t *testing.T, c client, login Login) {
	desc, body := c.image(t, "1", "a")
	wantContent(t, "GET", c.authorized(t, login, "manifests/1"), desc, body)
	wantRefused(t, "GET what is not there", c.authorized(t, login, "manifests/none"), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

// authorized asks as the challenge demands. A token server that refuses is as good
// as a registry that does.
func (c client) authorized(t *testing.T, login Login, path string) answer {
	t.Helper()
	scheme, parameters := challengeOf(c.ask(t, http.MethodGet, path))
	basic := &http.Request{Header: http.Header{}}
	basic.SetBasicAuth(login.User, login.Password)
	authorization := basic.Header.Get("Authorization")
	if scheme == "bearer" {
		query := url.Values{"service": {parameters["service"]}, "scope": {parameters["scope"]}}
		got := c.send(t, http.MethodGet, parameters["realm"]+"?"+query.Encode(), authorization)
		var token struct{ Token string }
		if err := json.Unmarshal(got.body, &token); got.status != http.StatusOK || err != nil || token.Token == "" {
			return got
		}
		authorization = "Bearer " + token.Token
	}
	return c.send(t, http.MethodGet, c.at(path), authorization)
}

// challengeOf reads the WWW-Authenticate header.
func challengeOf(got answer) (scheme string, parameters map[string]string) {
	scheme, rest, _ := strings.Cut(got.header.Get("WWW-Authenticate"), " ")
	parameters = map[string]string{}
	for _, match := range regexp.MustCompile(`([a-z_]+)="([^"]*)"`).FindAllStringSubmatch(rest, -1) {
		parameters[match[1]] = match[2]
	}
	return strings.ToLower(scheme), parameters
}
