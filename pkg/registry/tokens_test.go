package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tokenServer is a registry that asks for tokens, which can be revoked.
type tokenServer struct {
	*stub
	mu      sync.Mutex
	issued  int
	valid   map[string]bool
	refusal int    // the status for a token that is not valid any more
	says    string // more of the answer with a token
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{stub: newStub(t), valid: map[string]bool{}, refusal: http.StatusUnauthorized}
	s.hook = s.answer
	return s
}

func (s *tokenServer) answer(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/token" {
		user, password, basic := r.BasicAuth()
		if !basic {
			user, password = r.FormValue("username"), r.FormValue("password")
		}
		if user != "" && password != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		s.issued++
		token := fmt.Sprintf("%d-of-%s", s.issued, user)
		s.valid[token] = true
		quoted, _ := json.Marshal(token)
		_, _ = fmt.Fprintf(w, `{"token":%s,"access_token":%s%s}`, quoted, quoted, s.says)
		return true
	}
	shown := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if s.valid[shown] {
		return false
	}
	if shown != "" && s.refusal == http.StatusForbidden {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token",service="stub"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// revoke makes all tokens invalid.
func (s *tokenServer) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.valid)
}

func TestTokensAreUsedByLaterPullsWithTheSameCredentials(t *testing.T) {
	t.Parallel()
	s := newTokenServer(t)
	s.says = `,"expires_in":300`
	for _, repo := range []string{"app", "other"} {
		s.putManifest(repo, "1", ocispec.MediaTypeImageIndex, index())
	}
	var clock struct {
		sync.Mutex
		passed time.Duration
	}
	wait := func(d time.Duration) { clock.Lock(); clock.passed += d; clock.Unlock() }
	r := newRegistry(Options{}, func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		return time.Now().Add(clock.passed)
	})
	t.Cleanup(r.Close)
	alice := func() *Auth { return &Auth{Username: "alice", Password: secret} }
	full, once := []string{"401", "token", "200"}, []string{"200"}
	for _, step := range []struct {
		name   string
		before func()
		repo   string
		auth   *Auth
		shows  string
		want   []string
	}{
		{"the first pull", nil, "app", alice(), "1-of-alice", full},
		{"the same credentials", nil, "app", alice(), "1-of-alice", once},
		{"the same in another form", nil, "app", &Auth{Auth: "YWxpY2U6" + "aHVudGVyMg=="}, "1-of-alice", once},
		{"another repository", nil, "other", alice(), "2-of-alice", full},
		{"another user", nil, "app", &Auth{Username: "bob", Password: secret}, "3-of-bob", full},
		{"without credentials", nil, "app", nil, "4-of-", full},
		{"without credentials again", nil, "app", nil, "4-of-", once},
		{"the first still", nil, "app", alice(), "1-of-alice", once},
		{"near its end", func() { wait(269 * time.Second) }, "app", alice(), "1-of-alice", once},
		{"past its end", func() { wait(2 * time.Second) }, "app", alice(), "5-of-alice", full},
		{"refused by 401", s.revoke, "app", alice(), "6-of-alice", full},
		{"after that", nil, "app", alice(), "6-of-alice", once},
		{"refused by 403", func() { s.revoke(); s.refusal = http.StatusForbidden }, "app", alice(), "7-of-alice", []string{"403", "401", "token", "200"}},
		{"the server does not say", func() { s.revoke(); s.says = "" }, "app", alice(), "8-of-alice", []string{"403", "401", "token", "200"}},
		{"within a minute", func() { wait(53 * time.Second) }, "app", alice(), "8-of-alice", once},
		{"after it", func() { wait(2 * time.Second) }, "app", alice(), "9-of-alice", full},
		{"as the configuration is read again", func() { r.SetHosts("", Tables{}) }, "app", alice(), "10-of-alice", full},
		{"as all is forgotten", r.Forget, "app", alice(), "11-of-alice", full},
	} {
		if step.before != nil {
			step.before()
		}
		s.Forget()
		if _, err := repository(t, r, s.host()+"/"+step.repo, step.auth).Resolve(t.Context(), "1"); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		var got []string
		last := ""
		for _, asked := range s.Recorded() {
			shown := strings.TrimPrefix(asked.Header.Get("Authorization"), "Bearer ")
			s.mu.Lock()
			valid := s.valid[shown]
			s.mu.Unlock()
			switch {
			case asked.URL.Path == "/token":
				got = append(got, "token")
			case valid:
				got, last = append(got, "200"), shown
			case shown != "" && s.refusal == http.StatusForbidden:
				got = append(got, "403")
			default:
				got = append(got, "401")
			}
		}
		if !slices.Equal(got, step.want) || last != step.shows {
			t.Errorf("%s: answered %q with token %q, want %q with %q", step.name, got, last, step.want, step.shows)
		}
	}
}

// A wrong password gets nothing of what the right one was granted, and what a token server
// refuses is not remembered.
func TestTokensAreNotForOtherPasswords(t *testing.T) {
	t.Parallel()
	s := newTokenServer(t)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	r := testRegistry(t, Options{})
	pull := func(password string) error {
		_, err := repository(t, r, s.host()+"/app", &Auth{Username: "alice", Password: password}).Resolve(t.Context(), "1")
		return err
	}
	for _, step := range []struct {
		password string
		works    bool
	}{{secret, true}, {"wrong", false}, {secret, true}} {
		if err := pull(step.password); (err == nil) != step.works {
			t.Errorf("password of %d bytes: %v", len(step.password), err)
		}
	}
	if s.issued != 1 {
		t.Errorf("%d tokens, want 1", s.issued)
	}
}

func TestPasswordsAreShownUnaskedOnlyToHostsThatAskedForThem(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, _ := r.BasicAuth(); user == "u" && pass == secret {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	r := testRegistry(t, Options{})
	for _, step := range []struct {
		name, password string
		asked          int
		works          bool
	}{
		{"first", secret, 2, true}, {"again", secret, 1, true}, {"another password", "x", 2, false}, {"the first again", secret, 1, true},
	} {
		s.Forget()
		_, err := repository(t, r, s.host()+"/app", &Auth{Username: "u", Password: step.password}).Resolve(t.Context(), "1")
		if n := len(s.requests()); n != step.asked || (err == nil) != step.works {
			t.Errorf("%s: %d requests, want %d: %v", step.name, n, step.asked, err)
		}
	}
}

func TestTokensAreKeptWithinBounds(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	long := strings.Repeat("x", maxToken+1)
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			_, _ = fmt.Fprintf(w, `{"token":%q}`, long)
			return true
		case r.Header.Get("Authorization") == "Bearer "+long:
			return false
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	r := testRegistry(t, Options{})
	if _, err := repository(t, r, s.host()+"/app", nil).Resolve(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if n := r.grants.kept.Len(); n != 0 {
		t.Errorf("a token of %d bytes was kept", len(long))
	}
	for i := range 2 * maxGrants {
		r.grants.kept.Add(grantKey{scope: fmt.Sprint(i)}, grant{token: "x"})
	}
	if n := r.grants.kept.Len(); n != maxGrants {
		t.Errorf("%d tokens are kept, want %d", n, maxGrants)
	}
}
