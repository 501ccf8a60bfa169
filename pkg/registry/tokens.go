package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// maxGrants bounds how many tokens are kept, and maxToken the length of one.
	maxGrants, maxToken = 512, 8 << 10
	// grantTime is for tokens whose server does not say how long they are good, by the
	// specification of token servers; maxGrantTime bounds what others say.
	grantTime, maxGrantTime = time.Minute, time.Hour
	// maxTokenAnswer is how much of a token server's answer is looked at.
	maxTokenAnswer = 64 << 10
)

// grants keeps in memory what hosts granted to credentials, so that not every pull logs in
// again. A token is used by pulls with the same credentials only, for the repository that
// it was granted for, and no longer than its server says.
type grants struct {
	now    func() time.Time
	secret string // of this process
	kept   *lru.Cache[grantKey, grant]
}

// grantKey is what a token is good for. Of the credentials it has a digest.
type grantKey struct {
	registry, place, scope string
	credentials            [sha256.Size]byte
}

// grant is what a request shows: a token, or that the host asks for the password itself.
type grant struct {
	token string
	basic bool
	until time.Time
}

func newGrants(now func() time.Time) *grants {
	kept, _ := lru.New[grantKey, grant](maxGrants) // fails for sizes below 1 only
	return &grants{now: now, secret: rand.Text(), kept: kept}
}

// login returns the credentials for a host.
type login func(host string) (username, secret string, err error)

// keep makes the hosts of a registry use what was granted to earlier pulls.
func (g *grants) keep(registry string, hosts []docker.RegistryHost, login login) {
	for i, host := range hosts {
		username, secret, err := login(host.Host)
		if err != nil {
			continue // the pull says so
		}
		hosts[i].Authorizer = &keeper{
			Authorizer: host.Authorizer, grants: g, username: username, secret: secret,
			key: grantKey{
				registry: registry, place: place(host),
				credentials: sha256.Sum256(fmt.Appendf(nil, "%s %q %q", g.secret, username, secret)),
			},
		}
	}
}

// of returns the key of what a grant is kept under: that a host asks for the password
// applies to all of its repositories.
func (g grant) of(key grantKey) grantKey {
	if g.basic {
		key.scope = ""
	}
	return key
}

func (g *grants) get(key grantKey) (found grant, ok bool) {
	if found, ok = g.kept.Get(key); !ok {
		found, ok = g.kept.Get(grant{basic: true}.of(key))
	}
	return found, ok && g.now().Before(found.until)
}

func (g *grants) put(key grantKey, granted grant, lifetime time.Duration) {
	granted.until = g.now().Add(lifetime)
	g.kept.Add(granted.of(key), granted)
}

// drop forgets a grant that a host refused, unless there is a newer one.
func (g *grants) drop(key grantKey, refused grant) {
	key = refused.of(key)
	if found, ok := g.kept.Peek(key); ok && found == refused {
		g.kept.Remove(key)
	}
}

// keeper is the authorizer of one pull at one host: containerd's, which logs in when it
// is challenged, and before that what an earlier pull was granted.
type keeper struct {
	docker.Authorizer

	grants           *grants
	key              grantKey // without the scope
	username, secret string

	mu      sync.Mutex
	earlier map[string]grant // used by this pull, by the header
	fresh   bool             // one of them was refused, so that none is used any more
}

func (k *keeper) keyOf(ctx context.Context) grantKey {
	key := k.key
	key.scope = strings.Join(docker.GetTokenScopes(ctx, nil), " ")
	return key
}

// Authorize implements docker.Authorizer.
func (k *keeper) Authorize(ctx context.Context, req *http.Request) error {
	key := k.keyOf(ctx)
	if k.useEarlier(key, req) {
		return nil
	}
	before, answer := req.Header.Get("Authorization"), new(tokenAnswer)
	if err := k.Authorizer.Authorize(context.WithValue(ctx, tokenAnswerKey{}, answer), req); err != nil {
		return err
	}
	header := req.Header.Get("Authorization")
	token, isToken := strings.CutPrefix(header, "Bearer ")
	switch lifetime, granted := answer.lifetime(); {
	case header == before:
	case !isToken:
		k.grants.put(key, grant{basic: true}, maxGrantTime)
	case granted && token != "" && len(token) <= maxToken:
		k.grants.put(key, grant{token: token}, lifetime)
	}
	return nil
}

// useEarlier shows what an earlier pull was granted, if there is something.
func (k *keeper) useEarlier(key grantKey, req *http.Request) bool {
	found, ok := k.grants.get(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !ok || k.fresh {
		return false
	}
	if found.basic {
		req.SetBasicAuth(k.username, k.secret)
	} else {
		req.Header.Set("Authorization", "Bearer "+found.token)
	}
	if k.earlier == nil {
		k.earlier = map[string]grant{}
	}
	k.earlier[req.Header.Get("Authorization")] = found
	return true
}

// refused forgets what an earlier pull was granted if the host does not take it any more.
// It reports whether that was so.
func (k *keeper) refused(ctx context.Context, req *http.Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	used, ok := k.earlier[req.Header.Get("Authorization")]
	if ok {
		k.fresh = true
		k.grants.drop(k.keyOf(ctx), used)
	}
	return ok
}

// refusedEarlier reports whether a host refuses what an earlier pull was granted. It is
// not used any more then.
func refusedEarlier(ctx context.Context, host docker.RegistryHost, resp *http.Response, sent *http.Request) bool {
	k, ok := host.Authorizer.(*keeper)
	refused := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	return ok && refused && sameHost(resp.Request, sent) && k.refused(ctx, sent)
}

type tokenAnswerKey struct{}

// tokenAnswer is the answer of a token server, as it is read by containerd's authorizer.
type tokenAnswer struct {
	mu   sync.Mutex
	seen bool
	text bytes.Buffer
}

// watchToken has the answer to the request of a token noted.
func watchToken(req *http.Request, resp *http.Response) {
	if answer, ok := req.Context().Value(tokenAnswerKey{}).(*tokenAnswer); ok {
		answer.begin()
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(resp.Body, answer), resp.Body}
	}
}

// begin makes room for another answer: some servers answer the second request only.
func (a *tokenAnswer) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = true
	a.text.Reset()
}

// Write notes what was read, as far as it is looked at.
func (a *tokenAnswer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text.Write(p[:min(len(p), maxTokenAnswer-a.text.Len())])
	return len(p), nil
}

// lifetime is how long a token is used, with some time to spare, and false where none
// came.
func (a *tokenAnswer) lifetime() (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var said struct {
		ExpiresIn int64 `json:"expires_in"`
	}
	lifetime := grantTime
	if json.Unmarshal(a.text.Bytes(), &said) == nil && said.ExpiresIn > 0 {
		lifetime = time.Duration(min(said.ExpiresIn, int64(maxGrantTime/time.Second))) * time.Second
	}
	return lifetime - lifetime/10, a.seen
}
