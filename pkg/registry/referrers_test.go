package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func digests(descs []ocispec.Descriptor) []string {
	var all []string
	for _, d := range descs {
		all = append(all, d.Digest.String())
	}
	return all
}

// page answers a referrers request.
func page(w http.ResponseWriter, media string, descs ...ocispec.Descriptor) {
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(index(descs...))
}

func TestAnswersOfRegistriesWithoutReferrersAPIAreRecognised(t *testing.T) {
	t.Parallel()
	subject, a, b := descOf("subject"), descOf("a"), descOf("b")
	answer := func(code int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	const oci, plain = ocispec.MediaTypeImageIndex, "text/plain"
	fallback := stored{oci, index(b)}
	tests := []struct {
		name string
		api  http.HandlerFunc
		tag  stored
		want []ocispec.Descriptor
		is   error
		fail bool
		long bool // the list is longer than it may be
		asks int  // of the API, by two calls
	}{
		{name: "API", api: func(w http.ResponseWriter, _ *http.Request) { page(w, oci, a) }, tag: fallback, want: []ocispec.Descriptor{a}, asks: 2},
		{name: "API with a charset", api: func(w http.ResponseWriter, _ *http.Request) { page(w, oci+"; charset=utf-8", a) }, tag: fallback, want: []ocispec.Descriptor{a}, asks: 2},
		{name: "API says there are none", api: func(w http.ResponseWriter, _ *http.Request) { page(w, oci) }, tag: fallback, asks: 2},
		{name: "404 of a registry without the API", api: answer(404, plain, "404 page not found"), tag: fallback, want: []ocispec.Descriptor{b}, asks: 1},
		{name: "no API and no tag", api: answer(404, plain, "404 page not found"), asks: 1},
		{name: "404 for this image alone is not remembered", api: answer(404, "application/json", `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`), tag: fallback, want: []ocispec.Descriptor{b}, asks: 2},
		{name: "400", api: answer(400, plain, ""), tag: fallback, want: []ocispec.Descriptor{b}, asks: 1},
		{name: "405", api: answer(405, plain, ""), tag: fallback, want: []ocispec.Descriptor{b}, asks: 1},
		{name: "501", api: answer(501, plain, ""), tag: fallback, want: []ocispec.Descriptor{b}, asks: 1},
		{name: "login page", api: answer(200, "text/html", "<html>"), tag: fallback, want: []ocispec.Descriptor{b}, asks: 1},
		{name: "429", api: answer(429, plain, ""), tag: fallback, fail: true, asks: 2},
		{name: "500", api: answer(500, plain, ""), tag: fallback, fail: true, asks: 2},
		{name: "malformed page", api: answer(200, oci, `{"manifests":[{`), tag: fallback, is: ErrCorrupt, fail: true, asks: 2},
		{name: "oversized page", api: answer(200, oci, strings.Repeat(" ", maxBytes+1)), tag: fallback, long: true, asks: 2},
		{name: "page announces terabytes", api: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(1<<40))
			page(w, oci)
		}, asks: 2},
		{name: "too many on one page", api: answer(200, oci, string(index(slices.Repeat([]ocispec.Descriptor{a}, maxReferrers+1)...))), want: slices.Repeat([]ocispec.Descriptor{a}, keptReferrers), long: true, asks: 2},
		{name: "tag holds the subject", api: answer(404, plain, ""), tag: stored{ocispec.MediaTypeImageManifest, []byte("subject")}, asks: 1},
		{name: "tag holds no index", api: answer(404, plain, ""), tag: stored{ocispec.MediaTypeImageManifest, []byte("{}")}, asks: 1},
		{name: "tag holds a malformed index", api: answer(404, plain, ""), tag: stored{oci, []byte("[]")}, is: ErrCorrupt, fail: true, asks: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			if tt.tag.body != nil {
				s.put("app/manifests/"+tagOf(subject.Digest), tt.tag.media, tt.tag.body)
			}
			s.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/referrers/") {
					return false
				}
				if r.URL.RawQuery != "" {
					t.Errorf("asks for %q", r.URL.RawQuery)
				}
				tt.api(w, r)
				return true
			}
			r := testRegistry(t, Options{})
			for range 2 { // two pulls
				listing, err := repository(t, r, s.host()+"/app", nil).List(t.Context(), subject)
				got := listing.Referrers
				if (listing.Incomplete != "") != tt.long || !slices.Equal(digests(got), digests(tt.want)) || (err != nil) != tt.fail || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("got %v, %v", got, err)
				}
			}
			if n := s.count("/referrers/"); n != tt.asks {
				t.Errorf("API asked %d times, want %d: %q", n, tt.asks, s.requests())
			}
		})
	}
}

func TestAllPagesOfReferrersAreRead(t *testing.T) {
	t.Parallel()
	subject := descOf("subject")
	path := "/v2/app/referrers/" + subject.Digest.String()
	descs := []ocispec.Descriptor{descOf("a"), descOf("b"), descOf("c")}
	tests := []struct {
		name string
		link func(s *stub, next int) string
		last int // number of the last page; 0 is none
		want int
		is   error
		long bool
	}{
		{name: "relative", link: func(_ *stub, n int) string { return fmt.Sprintf("<%s?n=1&last=%d>; rel=\"next\"", path, n) }, last: 3, want: 3},
		{name: "query only", link: func(_ *stub, n int) string { return fmt.Sprintf("<?last=%d>; rel=\"next\"", n) }, last: 3, want: 3},
		{name: "absolute", link: func(s *stub, n int) string { return fmt.Sprintf("<%s%s?last=%d>", s.URL, path, n) }, last: 3, want: 3},
		{name: "endless", link: func(_ *stub, n int) string { return fmt.Sprintf("<%s?last=%d>", path, n) }, long: true, want: maxPages},
		{name: "to itself", link: func(*stub, int) string { return "<" + path + ">" }, long: true, want: maxPages},
		{name: "to another host", link: func(*stub, int) string { return "<http://192.0.2.1" + path + ">" }, is: ErrCorrupt},
		{name: "to another repository", link: func(*stub, int) string { return "</v2/other/referrers/" + subject.Digest.String() + ">" }, is: ErrCorrupt},
		{name: "up and away", link: func(*stub, int) string { return "<" + path + "/../../../other>" }, is: ErrCorrupt},
		{name: "not a URL", link: func(*stub, int) string { return "<http://%zz>" }, is: ErrCorrupt},
	}
	for _, tt := range tests {
		for _, mirrored := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, mirrored %t", tt.name, mirrored), func(t *testing.T) {
				t.Parallel()
				s := newStub(t)
				s.hook = func(w http.ResponseWriter, r *http.Request) bool {
					number := 1
					_, _ = fmt.Sscan(r.URL.Query().Get("last"), &number)
					if number != tt.last {
						w.Header().Set("Link", tt.link(s, number+1))
					}
					if mirrored && r.URL.Query().Get("ns") != "registry.test" {
						t.Errorf("asks %s", r.URL)
					}
					page(w, ocispec.MediaTypeImageIndex, descs[number%3])
					return true
				}
				repo := direct(t, s, nil)
				if mirrored {
					root := hostsFile(t, fmt.Sprintf("server = %q\n", s.URL))
					repo = repository(t, testRegistry(t, Options{HostsPath: root}), "registry.test/app", nil)
				}
				got, err := repo.List(t.Context(), subject)
				if tt.is == nil && (err != nil || len(got.Referrers) != tt.want || (got.Incomplete != "") != tt.long) {
					t.Errorf("got %v, %v", got, err)
				}
				if !errors.Is(err, tt.is) {
					t.Errorf("got %v, want %v", err, tt.is)
				}
				if n := len(s.requests()); n > maxPages {
					t.Errorf("%d pages asked", n)
				}
			})
		}
	}
}

func TestAHostWithoutReferrersAPIIsRemembered(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	now := time.Now()
	r := newRegistry(Options{}, func() time.Time { return now })
	t.Cleanup(r.Close)
	ask := func(name string) {
		t.Helper()
		if _, err := repository(t, r, s.host()+"/"+name, nil).Referrers(t.Context(), descOf(name)); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name string
		repo string
		wait time.Duration
		asks int // of the API, so far
	}{
		{"first", "team/app", 0, 1},
		{"same repository", "team/app", 0, 1},
		{"same project", "team/tool", 0, 1},
		{"another project", "mirror/app", 0, 2},
		{"just before the hour", "team/app", memoryTime - time.Second, 2},
		{"after the hour", "team/app", time.Second, 3},
	}
	for _, step := range steps {
		now = now.Add(step.wait)
		ask(step.repo)
		if n := s.count("/referrers/"); n != step.asks {
			t.Errorf("%s: API asked %d times, want %d", step.name, n, step.asks)
		}
	}
	for i := range 2 * maxMemory {
		r.withoutAPI.keep(fmt.Sprint(i), memoryTime)
	}
	if n := len(r.withoutAPI.until); n > maxMemory {
		t.Errorf("memory holds %d", n)
	}
}

func TestMirrorsWithoutReferrersAPIAreSkipped(t *testing.T) {
	t.Parallel()
	subject, a := descOf("subject"), descOf("a")
	closed := httptest.NewServer(nil)
	closed.Close()
	mirror, origin := newStub(t), newStub(t)
	origin.put("app/manifests/"+tagOf(subject.Digest), ocispec.MediaTypeImageIndex, index(a))
	for name, tt := range map[string]struct {
		mirror, origin string
		want           int
		fails          bool
	}{
		"mirror without API or tag":      {mirror.URL, origin.URL, 1, false},
		"mirror down, origin has no API": {closed.URL, origin.URL, 1, false},
		"origin down proves nothing":     {mirror.URL, closed.URL, 0, true},
	} {
		root := hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\n", tt.origin, tt.mirror))
		r := testRegistry(t, Options{HostsPath: root})
		got, err := repository(t, r, "registry.test/app", nil).Referrers(t.Context(), subject)
		if len(got) != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A link to the next page means something to the host that gave it only.
func TestTheNextPageMustBeOfTheSameHost(t *testing.T) {
	t.Parallel()
	mirror, origin := newStub(t), newStub(t)
	mirror.hook = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"NAME_UNKNOWN"}]}`)
		return true
	}
	origin.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("last") == "" {
			w.Header().Set("Link", "<?last=1>")
		}
		page(w, ocispec.MediaTypeImageIndex, descOf("a"))
		return true
	}
	root := hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\n", origin.URL, mirror.URL))
	got, err := repository(t, testRegistry(t, Options{HostsPath: root}), "registry.test/app", nil).Referrers(t.Context(), descOf("x"))
	if err != nil || len(got) != 2 || len(mirror.requests()) != 1 {
		t.Errorf("got %v, %v; mirror was asked %q", got, err, mirror.requests())
	}
}

func TestARedirectedReferrersRequestMeansNoAPI(t *testing.T) {
	t.Parallel()
	subject, a, b := descOf("subject"), descOf("a"), descOf("b")
	for code, want := range map[int]ocispec.Descriptor{
		http.StatusSeeOther:          b, // a front page: not followed
		http.StatusFound:             b,
		http.StatusTemporaryRedirect: a, // content that lives elsewhere
	} {
		s, other := newStub(t), newStub(t)
		other.hook = func(w http.ResponseWriter, _ *http.Request) bool {
			page(w, ocispec.MediaTypeImageIndex, a)
			return true
		}
		s.put("app/manifests/"+tagOf(subject.Digest), ocispec.MediaTypeImageIndex, index(b))
		s.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			http.Redirect(w, r, other.URL, code)
			return true
		}
		got, err := direct(t, s, nil).Referrers(t.Context(), subject)
		if err != nil || !slices.Equal(digests(got), digests([]ocispec.Descriptor{want})) {
			t.Errorf("%d: %v, %v", code, got, err)
		}
		if code != http.StatusTemporaryRedirect && len(other.requests()) > 0 {
			t.Errorf("%d: other host was asked", code)
		}
	}
}
