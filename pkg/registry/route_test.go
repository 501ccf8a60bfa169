package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// TestReferrersComeFromTheHostsOfThePull has hosts.toml as guides write it. What the
// upstream is asked, and what it would answer, must not matter to a pull that the mirror
// serves.
func TestReferrersComeFromTheHostsOfThePull(t *testing.T) {
	t.Parallel()
	const mirrored, everything = `capabilities = ["pull", "resolve"]`, ""
	subject, attached := descOf("subject"), descOf("attached")
	for _, tt := range []struct {
		name         string
		mirror       string // its capabilities
		lacks        bool   // the mirror does not have the image
		noAPI        bool   // the mirror has no referrers API
		tag          bool   // the mirror has the referrers tag
		byDigest     bool
		want         int // referrers
		unasked      bool
		others       int // requests for referrers to a second mirror, trusted with them
		upstream     int // requests for referrers to the upstream
		secondMirror bool
	}{
		{name: "pull and resolve", mirror: mirrored, want: 1},
		{name: "no line", mirror: everything, want: 1},
		{name: "no API", mirror: mirrored, noAPI: true},
		{name: "no API, but the tag", mirror: mirrored, noAPI: true, tag: true, want: 1},
		{name: "not on the mirror", mirror: mirrored, lacks: true, want: 1, upstream: 1},
		{name: "a mirror of content, by tag", mirror: `capabilities = ["pull"]`, want: 1, upstream: 1},
		{name: "a mirror of content, by digest", mirror: `capabilities = ["pull"]`, byDigest: true, unasked: true},
		{name: "no API, and another mirror for referrers", mirror: mirrored, noAPI: true, secondMirror: true, want: 1, others: 1},
		{name: "another mirror for referrers", mirror: mirrored, secondMirror: true, want: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mirror := newStubWith(t, fakeregistry.Options{NoReferrersAPI: tt.noAPI})
			second, upstream := newStub(t), newStub(t)
			for _, s := range []*stub{mirror, second, upstream} {
				s.putManifest("app", "1", ocispec.MediaTypeImageManifest, []byte("subject"))
				s.hook = func(w http.ResponseWriter, r *http.Request) bool {
					switch {
					case s == mirror && tt.lacks:
						w.WriteHeader(http.StatusNotFound)
					case strings.Contains(r.URL.Path, "/referrers/") && (s != mirror || !tt.noAPI):
						page(w, oci, attached)
					default:
						return false
					}
					return true
				}
			}
			if tt.tag {
				mirror.put("app/manifests/"+tagOf(subject.Digest), oci, index(attached))
			}
			text := fmt.Sprintf("server = %q\n[host.%q]\n%s\n", upstream.URL, mirror.URL, tt.mirror)
			if tt.secondMirror {
				text += fmt.Sprintf("[host.%q]\ncapabilities = [\"pull\", \"referrers\"]\n", second.URL)
			}
			repo := repository(t, testRegistry(t, Options{HostsPath: hostsFile(t, text)}), "registry.test/app", nil)
			ref := "1"
			if tt.byDigest {
				ref = subject.Digest.String()
			}
			if _, err := repo.Resolve(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			got, err := repo.ListReferrers(t.Context(), subject, FallbackTag)
			if err != nil || len(got.Referrers) != tt.want || got.Unasked != tt.unasked {
				t.Errorf("got %+v, %v; want %d, unasked %v", got, err, tt.want, tt.unasked)
			}
			for s, want := range map[*stub]int{second: tt.others, upstream: tt.upstream} {
				if n := s.count("/referrers/") + s.count("/manifests/sha256-"); n != want {
					t.Errorf("%d requests for referrers, want %d: %q", n, want, s.requests())
				}
			}
			if tt.upstream == 0 && len(upstream.requests()) > 0 {
				t.Errorf("the upstream was told of the repository: %q", upstream.requests())
			}
		})
	}
}
