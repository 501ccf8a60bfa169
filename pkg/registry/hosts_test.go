package registry

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

func TestAPullOnlyMirrorIsNotAskedToResolve(t *testing.T) {
	t.Parallel()
	mirror, origin := newStubWith(t, fakeregistry.Options{}), newStubWith(t, fakeregistry.Options{})
	desc := origin.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	mirror.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	blob := mirror.put("app/blobs/"+descOf("blob").Digest.String(), "x/y", []byte("blob"))
	root := hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\ncapabilities = [\"pull\"]\n", origin.URL, mirror.URL))
	missing := filepath.Join(t.TempDir(), "none")
	r := testRegistry(t, Options{HostsPath: missing + string(filepath.ListSeparator) + root})
	repo := repository(t, r, "registry.test/app", nil)

	if got, err := repo.Resolve(t.Context(), "1"); err != nil || got.Digest != desc.Digest {
		t.Fatalf("resolve: %v, %v", got, err)
	}
	if _, err := repo.Manifest(t.Context(), desc); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Blob(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Referrers(t.Context(), desc); err != nil {
		t.Fatal(err)
	}
	origin.hook = func(w http.ResponseWriter, r *http.Request) bool {
		withoutAPI := strings.Contains(r.URL.Path, "/referrers/")
		if withoutAPI {
			http.NotFound(w, r)
		}
		return withoutAPI
	}
	if got, err := repo.Referrers(t.Context(), descOf("other")); err != nil || len(got) > 0 {
		t.Fatalf("tag schema: %v, %v", got, err)
	}
	ns := "?ns=registry.test"
	if got, want := mirror.requests(), []string{
		"GET /v2/app/manifests/" + desc.Digest.String() + ns,
		"GET /v2/app/blobs/" + blob.Digest.String() + ns,
	}; !slices.Equal(got, want) {
		t.Errorf("mirror was asked %q, want %q", got, want)
	}
	if got := origin.count("referrers") + origin.count("sha256-"); got != 3 {
		t.Errorf("origin was asked %q", origin.requests())
	}
}

func TestTheNextHostIsAskedAfterAFailure(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	want := descOf("content")
	corrupt := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "CONTENT") }
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	tests := []struct {
		name   string
		mirror http.HandlerFunc // nil: nobody listens
		origin http.HandlerFunc // nil: has the content
		want   error
		fails  bool
	}{
		{name: "mirror is down"},
		{name: "mirror lacks it", mirror: status(404)},
		{name: "mirror is sick", mirror: status(500)},
		{name: "mirror wants a login", mirror: status(401)},
		{name: "mirror has damaged content", mirror: corrupt},
		{name: "mirror hangs", mirror: hang},
		{name: "both lack it", mirror: status(404), origin: status(404), want: ErrNotFound},
		{name: "mirror down, origin lacks it", origin: status(404), want: ErrNotFound},
		{name: "mirror lacks it, origin refuses", mirror: status(404), origin: status(403), want: ErrUnauthorized},
		{name: "mirror lacks it, origin is sick", mirror: status(404), origin: status(502), fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mirrorURL := closed.URL
			if tt.mirror != nil {
				mirror := httptest.NewServer(tt.mirror)
				t.Cleanup(mirror.Close)
				mirrorURL = mirror.URL
			}
			origin := newStub(t)
			origin.put("app/blobs/"+want.Digest.String(), "x/y", []byte("content"))
			if tt.origin != nil {
				origin.hook = func(w http.ResponseWriter, r *http.Request) bool { tt.origin(w, r); return true }
			}
			root := hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\n", origin.URL, mirrorURL))
			repo := repository(t, testRegistry(t, Options{HostsPath: root}), "registry.test/app", nil)
			_, err := repo.Blob(shortly(t, 2*time.Second), want)
			if tt.want != nil && !errors.Is(err, tt.want) || (err != nil) != (tt.fails || tt.want != nil) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.fails && (errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnauthorized)) {
				t.Errorf("got %v, want a transport error", err)
			}
		})
	}
}

func TestOverridePathAndHeadersOfHostsTOMLApply(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	desc := descOf("blob")
	s.put("/custom/app/blobs/"+desc.Digest.String(), "x/y", []byte("blob"))
	root := hostsFile(t, fmt.Sprintf("[host.%q]\noverride_path = true\n[host.%q.header]\nX-Site = \"a\"\n", s.URL+"/custom", s.URL+"/custom"))
	repo := repository(t, testRegistry(t, Options{HostsPath: root, UserAgent: "imagefit/test"}), "registry.test/app", nil)
	if _, err := repo.Blob(t.Context(), desc); err != nil {
		t.Fatal(err)
	}
	if got := s.headers("X-Site"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("X-Site: %q", got)
	}
	if got := s.headers("User-Agent"); !slices.Equal(got, []string{"imagefit/test"}) {
		t.Errorf("User-Agent: %q", got)
	}
}

func TestHostsWithoutHostsTOMLAreThoseOfContainerd(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"alpine":                  "https://registry-1.docker.io",
		"registry.test/app":       "https://registry.test",
		"registry.test:5000/app":  "https://registry.test:5000",
		"localhost/app":           "https://localhost",
		"127.0.0.1:80/app":        "http://127.0.0.1:80",
		"localhost:5000/app":      "https://localhost:5000", // falls back to http
		"registry.test:80/nested": "https://registry.test:80",
	} {
		repo := repository(t, testRegistry(t, Options{}), name, nil)
		if got := repo.hosts[0].Scheme + "://" + repo.hosts[0].Host; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestTLSSettingsOfHostsTOMLApply(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Server.Close)
	desc := s.put("app/blobs/"+descOf("blob").Digest.String(), "x/y", []byte("blob"))
	root := hostsFile(t, fmt.Sprintf("server = %q\n", s.URL))
	r := testRegistry(t, Options{HostsPath: root})
	fetch := func() error {
		_, err := repository(t, r, "registry.test/app", nil).Blob(t.Context(), desc)
		return err
	}
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown authority: %v", err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	dir := filepath.Join(root, "registry.test")
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600),
		os.WriteFile(filepath.Join(dir, "hosts.toml"), fmt.Appendf(nil, "server = %q\nca = \"ca.pem\"\n", s.URL), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if err := fetch(); err != nil {
		t.Errorf("authority of hosts.toml, written since: %v", err)
	}
	if _, err := repository(t, testRegistry(t, Options{}), strings.TrimPrefix(s.URL, "https://")+"/app", nil).Blob(t.Context(), desc); err != nil {
		t.Errorf("localhost is not verified: %v", err)
	}
}

func TestPullsShareConnections(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	now := time.Now()
	r := newRegistry(Options{}, func() time.Time { return now })
	t.Cleanup(r.Close)
	remotes := func() map[string]bool {
		found := map[string]bool{}
		for _, req := range s.Recorded() {
			found[req.RemoteAddr] = true
		}
		return found
	}
	for range 3 {
		if _, err := repository(t, r, s.host()+"/app", nil).Resolve(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(remotes()); n != 1 {
		t.Errorf("three pulls made %d connections, want 1", n)
	}
	now = now.Add(transportTime)
	if _, err := repository(t, r, s.host()+"/app", nil).Resolve(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if n := len(remotes()); n != 2 {
		t.Errorf("%d connections after the transport's time, want 2", n)
	}
}

func TestAHostsFileIsBounded(t *testing.T) {
	t.Parallel()
	root := hostsFile(t, strings.Repeat("#", maxHostsFile+1))
	_, err := testRegistry(t, Options{HostsPath: root}).hosts("registry.test", nil)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestRequestsEndAtTheDeadlineOfTheCaller(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.hook = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	start := time.Now()
	_, err := direct(t, s, nil).Resolve(shortly(t, 200*time.Millisecond), "1")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}
