package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestFallbackDecidesWhereThereIsNoReferrersAPI(t *testing.T) {
	t.Parallel()
	subject, a, b := descOf("subject"), descOf("a"), descOf("b")
	tests := []struct {
		name     string
		api      int // status of the API's answer; 0 is a list with a
		caps     string
		fallback Fallback
		want     []ocispec.Descriptor
		noAPI    bool
		is       error
		tags     int // requests for the tag, by two calls
	}{
		{name: "API", fallback: FallbackTag, want: []ocispec.Descriptor{a}},
		{name: "API, no fallback", fallback: FallbackNone, want: []ocispec.Descriptor{a}},
		{name: "API, fallback an error", fallback: FallbackError, want: []ocispec.Descriptor{a}},
		{name: "no API", api: 404, fallback: FallbackTag, want: []ocispec.Descriptor{b}, noAPI: true, tags: 2},
		{name: "no API, no fallback", api: 404, fallback: FallbackNone, noAPI: true},
		{name: "no API, fallback an error", api: 404, fallback: FallbackError, noAPI: true, is: ErrNoReferrersAPI},
		{name: "no host may be asked", caps: "pull", fallback: FallbackError, noAPI: true, is: ErrNoReferrersAPI},
		{name: "sick", api: 503, fallback: FallbackNone, is: errSick},
		{name: "not allowed", api: 403, fallback: FallbackNone, noAPI: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			s.put("app/manifests/"+tagOf(subject.Digest), ocispec.MediaTypeImageIndex, index(b))
			s.hook = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case !strings.Contains(r.URL.Path, "/referrers/"):
					return false
				case tt.api == 0:
					page(w, ocispec.MediaTypeImageIndex, a)
				default:
					w.WriteHeader(tt.api)
				}
				return true
			}
			hosts := fmt.Sprintf("server = %q\n", s.URL)
			if tt.caps != "" {
				hosts += fmt.Sprintf("capabilities = [%q]\n", tt.caps)
			}
			r := testRegistry(t, Options{HostsPath: hostsFile(t, hosts)})
			for range 2 { // the second one remembers
				got, err := repository(t, r, "registry.test/app", nil).ListReferrers(t.Context(), subject, tt.fallback)
				if !slices.Equal(digests(got.Referrers), digests(tt.want)) || got.NoAPI != tt.noAPI {
					t.Errorf("got %+v", got)
				}
				if tt.is == nil && err != nil || tt.is != nil && err == nil || tt.is != errSick && !errors.Is(err, tt.is) {
					t.Errorf("got %v, want %v", err, tt.is)
				}
			}
			if n := s.count("GET /v2/app/manifests/"); n != tt.tags {
				t.Errorf("%d requests for the tag, want %d: %q", n, tt.tags, s.requests())
			}
		})
	}
}

// errSick stands for an error of no kind.
var errSick = errors.New("sick")

// A host that gave a first page has the API, whatever it says of the second: a
// part of a list is no list.
func TestASecondPageThatIsNotAnIndexIsAnError(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusOK, http.StatusFound, http.StatusBadRequest, http.StatusNotFound} {
		s := newStub(t)
		s.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("last") == "" {
				w.Header().Set("Link", "<?last=1>")
				page(w, ocispec.MediaTypeImageIndex, descOf("a"))
			} else {
				w.WriteHeader(code)
			}
			return true
		}
		for _, fallback := range []Fallback{FallbackTag, FallbackNone} {
			got, err := direct(t, s, nil).ListReferrers(t.Context(), descOf("x"), fallback)
			if err == nil || errors.Is(err, ErrNoReferrersAPI) || got.NoAPI {
				t.Errorf("%d, fallback %s: %+v, %v", code, fallback, got, err)
			}
		}
	}
}

func TestEachRequestIsObserved(t *testing.T) {
	t.Parallel()
	mirror, origin := newStub(t), newStub(t)
	desc := origin.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	var mu sync.Mutex
	var seen []string
	r := testRegistry(t, Options{
		HostsPath: hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\n", origin.URL, mirror.URL)),
		Observe: func(op string, err error, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if took <= 0 {
				t.Errorf("%s took %s", op, took)
			}
			kind := "fine"
			for name, is := range map[string]error{"not found": ErrNotFound, "no API": ErrNoReferrersAPI} {
				if errors.Is(err, is) {
					kind = name
				}
			}
			seen = append(seen, op+": "+kind)
		},
	})
	repo := repository(t, r, "registry.test/app", nil)
	for op, ask := range map[string]func() error{
		"resolve":        func() error { _, err := repo.Resolve(t.Context(), "1"); return err },
		"fetch manifest": func() error { _, err := repo.Manifest(t.Context(), desc); return err },
		"fetch blob":     func() error { _, err := repo.Blob(t.Context(), descOf("none")); return err },
		"list referrers": func() error { _, err := repo.Referrers(t.Context(), desc); return err },
	} {
		seen = nil
		_ = ask()
		want := map[string][]string{
			"resolve":        {"resolve: not found", "resolve: fine"}, // the mirror, then the registry
			"fetch manifest": {"fetch manifest: not found", "fetch manifest: fine"},
			"fetch blob":     {"fetch blob: not found", "fetch blob: not found"},
			"list referrers": {
				"list referrers: no API", "list referrers: no API", // then the tag
				"list referrers: not found", "list referrers: not found",
			},
		}[op]
		if !slices.Equal(seen, want) {
			t.Errorf("%s: observed %q, want %q", op, seen, want)
		}
	}
}

func TestUserAgentNamesTheProgramAndItsVersion(t *testing.T) {
	t.Parallel()
	if got := UserAgent("v1"); got != "registry.test/v1 (imagefit)" {
		t.Errorf("got %q", got)
	}
}

func TestSetHostsAppliesToLaterPulls(t *testing.T) {
	t.Parallel()
	one, other := newStub(t), newStub(t)
	for _, s := range []*stub{one, other} {
		s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	}
	root := func(s *stub) string { return hostsFile(t, fmt.Sprintf("server = %q\n", s.URL)) }
	r := testRegistry(t, Options{HostsPath: root(one)})
	early := repository(t, r, "registry.test/app", nil)
	r.SetHosts(root(other), Tables{})
	for _, repo := range []*Repository{early, repository(t, r, "registry.test/app", nil)} {
		if _, err := repo.Resolve(t.Context(), "1"); err != nil {
			t.Error(err)
		}
	}
	if len(one.requests()) != 1 || len(other.requests()) != 1 {
		t.Errorf("asked %q and %q", one.requests(), other.requests())
	}
	var group sync.WaitGroup
	for i := range 8 { // for the race detector
		group.Go(func() {
			r.SetHosts(r.userAgent, Tables{})
			if _, err := r.hosts(fmt.Sprintf("registry%d.test", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// TestTheHTTPVersionIsThatOfContainerd: containerd's transports have a dialer of their own, for which net/http
// does not offer HTTP/2.
func TestTheHTTPVersionIsThatOfContainerd(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.Server = httptest.NewUnstartedServer(s)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Server.Close)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	registry := strings.TrimPrefix(s.URL, "https://")
	if _, err := repository(t, testRegistry(t, Options{}), registry+"/app", nil).Resolve(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	hosts, err := config.ConfigureHosts(t.Context(), config.HostOptions{})(registry)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hosts[0].Client.Get(s.URL + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, r := range s.Recorded() {
		if r.Proto != resp.Proto {
			t.Errorf("%s by %s, containerd uses %s", r.URL, r.Proto, resp.Proto)
		}
	}
}
