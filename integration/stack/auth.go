package stack

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// User is an account of a registry.
type User struct {
	Password string
	// Repos are the repositories that may be pulled, nil for all of them.
	Repos []string
}

func (u User) mayPull(repo string) bool {
	return u.Repos == nil || slices.Contains(u.Repos, repo)
}

// authenticator asks for credentials: admit answers the request itself when it
// returns false, and names whose credentials it saw.
type authenticator interface {
	admit(w http.ResponseWriter, req *http.Request) (user string, admitted bool)
}

func (r *Registry) setAuth(auth authenticator) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = auth
}

// RequireBasic makes the registry ask for basic credentials.
func (r *Registry) RequireBasic(users map[string]User) {
	r.setAuth(basicAuth{users: users})
}

type basicAuth struct{ users map[string]User }

func (b basicAuth) admit(w http.ResponseWriter, req *http.Request) (string, bool) {
	name, password, _ := req.BasicAuth()
	user, known := b.users[name]
	if !known || user.Password != password {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return "", false
	}
	if repo := repoOf(req); repo != "" && !user.mayPull(repo) {
		refuse(w, http.StatusForbidden, "DENIED")
		return name, false
	}
	return name, true
}

// Tokens is a token service, the registry's own, at /token.
type Tokens struct {
	host  string
	users map[string]User

	mu     sync.Mutex
	issued []*Token
	named  bool // the challenge says so when a token has expired
}

// Token is one that was given out.
type Token struct {
	Value, User, Scope string
	// Used are the paths that it was shown for.
	Used []string

	expired bool
}

// RequireToken makes the registry ask for bearer tokens and give them out at
// /token, to GET with basic credentials and to POST (OAuth2). Without credentials
// the token given out is good for nothing, as with Docker Hub's private images.
func (r *Registry) RequireToken(users map[string]User) *Tokens {
	tokens := &Tokens{host: r.Host, users: users}
	r.setAuth(tokens)
	return tokens
}

// Issued are the tokens given out so far, the oldest first.
func (t *Tokens) Issued() []Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Token, len(t.issued))
	for i, token := range t.issued {
		out[i] = *token
		out[i].Used = slices.Clone(token.Used)
	}
	return out
}

// Expire makes all tokens given out so far good for nothing. With named, the
// challenge from now on says that the token is the trouble, as RFC 6750 wants it and
// not every registry does.
func (t *Tokens) Expire(named bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, token := range t.issued {
		token.expired = true
	}
	t.named = named
}

func (t *Tokens) admit(w http.ResponseWriter, req *http.Request) (string, bool) {
	if req.URL.Path == "/token" {
		return t.issue(w, req), false
	}
	repo := repoOf(req)
	challenge := fmt.Sprintf(`Bearer realm=%q,service=%q`, "http://"+t.host+"/token", t.host)
	if repo != "" {
		challenge += fmt.Sprintf(`,scope=%q`, "repository:"+repo+":pull")
	}
	token, expired := t.shown(req)
	if expired {
		challenge += `,error="invalid_token"`
	}
	if token == nil {
		w.Header().Set("WWW-Authenticate", challenge)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return "", false
	}
	user, known := t.users[token.User]
	inScope := repo == "" || slices.Contains(scopedRepos(token.Scope), repo)
	if !known || !inScope || (repo != "" && !user.mayPull(repo)) {
		w.Header().Set("WWW-Authenticate", challenge+`,error="insufficient_scope"`)
		refuse(w, http.StatusUnauthorized, "DENIED")
		return token.User, false
	}
	return token.User, true
}

// shown finds the token of a request and notes its use. One that has expired is
// none; expired then says whether the challenge is to say so.
func (t *Tokens) shown(req *http.Request) (token *Token, expired bool) {
	value, found := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !found {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, token := range t.issued {
		if token.Value == value && token.expired {
			return nil, t.named
		}
		if token.Value == value {
			token.Used = append(token.Used, req.URL.Path)
			return token, false
		}
	}
	return nil, false
}

// issue answers a request for a token.
func (t *Tokens) issue(w http.ResponseWriter, req *http.Request) string {
	name, password, given := req.BasicAuth()
	if req.Method == http.MethodPost {
		req.Body = http.MaxBytesReader(w, req.Body, 64<<10)
		name, password = req.PostFormValue("username"), req.PostFormValue("password")
		given = true
	}
	user, known := t.users[name]
	if given && (!known || user.Password != password) {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return ""
	}
	scope := strings.Join(req.Form["scope"], " ")
	if req.Method == http.MethodGet {
		scope = strings.Join(req.URL.Query()["scope"], " ")
	}
	token := &Token{Value: rand.Text(), User: name, Scope: scope}
	t.mu.Lock()
	t.issued = append(t.issued, token)
	t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"token":%q,"access_token":%q,"expires_in":300}`, token.Value, token.Value)
	return name
}

// scopedRepos are the repositories that a scope, such as
// "repository:a:pull repository:b:pull,push", lets one pull from.
func scopedRepos(scope string) []string {
	var repos []string
	for _, part := range strings.Fields(scope) {
		rest, isRepo := strings.CutPrefix(part, "repository:")
		cut := strings.LastIndex(rest, ":")
		if isRepo && cut > 0 && strings.Contains(rest[cut:], "pull") {
			repos = append(repos, rest[:cut])
		}
	}
	return repos
}

// repoOf is the repository that a request is about, "" for none.
func repoOf(req *http.Request) string {
	path := regexp.MustCompile(`^/v2/(.+?)/(manifests|blobs|referrers|tags)/`)
	if match := path.FindStringSubmatch(req.URL.Path); match != nil {
		return match[1]
	}
	return ""
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"refused by the test registry"}]}`, code)
}
