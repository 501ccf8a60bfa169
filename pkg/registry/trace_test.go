package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestTraceTellsOfEachRequestWithoutSecrets: tokens, redirects and failures are requests, too.
func TestTraceTellsOfEachRequestWithoutSecrets(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	blob := s.put("/elsewhere", "x/y", []byte("blob"))
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token":
			_, _ = fmt.Fprint(w, `{"token":"hunter2","access_token":"hunter2"}`)
		case r.URL.Path == "/elsewhere":
			return false
		case r.Header.Get("Authorization") != "Bearer hunter2":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token?hunter2=1",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, "/elsewhere?Signature=hunter2", http.StatusTemporaryRedirect)
		default:
			return false
		}
		return true
	}
	var mu sync.Mutex
	var lines []string
	r := testRegistry(t, Options{Trace: func(r Request) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf("%s %s %d %d", r.Method, strings.TrimPrefix(r.URL, s.URL), r.Status, r.Bytes))
		if r.Begun.IsZero() || r.Took <= 0 {
			t.Errorf("no time in %+v", r)
		}
	}})
	repo := repository(t, r, s.host()+"/app", &Auth{Username: "user", Password: "hunter2"})
	if _, err := repo.Resolve(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Blob(t.Context(), ocispec.Descriptor{Digest: blob.Digest, Size: blob.Size}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"HEAD /v2/app/manifests/1 401 0",
		"POST /token 200 44",
		"HEAD /v2/app/manifests/1 200 0",
		"GET /v2/app/blobs/" + blob.Digest.String() + " 307 64",
		"GET /elsewhere 200 4",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") || strings.Contains(got, "hunter2") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	s.CloseClientConnections()
	s.Close()
	lines = nil
	if _, err := repo.Resolve(t.Context(), "1"); err == nil || len(lines) != 1 || !strings.HasSuffix(lines[0], " 0 0") {
		t.Errorf("of a registry that is gone: %v, %q", err, lines)
	}
}

func TestTraceHidesThePathOfARedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	ctx := context.WithValue(t.Context(), originKey{}, "registry.example")
	for url, redirected := range map[string]bool{"https://storage.example/secret/path?sig=1": true, "https://auth.example/token?service=s&x=1": false} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := "https://auth.example/token?service=s"
		if redirected {
			req.Response, want = &http.Response{}, "https://storage.example/..."
		}
		if got := shownURL(req, "https"); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}
