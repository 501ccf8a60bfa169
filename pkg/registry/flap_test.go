package registry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestAPageForPeopleDoesNotMakeARegistryLackReferrers has the answer to the referrers API change. What stands in
// its place for a while must not make the host one without the API.
func TestAPageForPeopleDoesNotMakeARegistryLackReferrers(t *testing.T) {
	t.Parallel()
	subject, a, b := descOf("subject"), descOf("a"), descOf("b")
	list := func(w http.ResponseWriter) { page(w, ocispec.MediaTypeImageIndex, a) }
	answer := func(code int, media string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(code)
			fmt.Fprint(w, "<html>")
		}
	}
	for _, tt := range []struct {
		name string
		had  bool // lists were had from there before
		odd  func(http.ResponseWriter)
		want string // of an odd answer
		next string // of a good one at once
		last string // of a good one two minutes later
	}{
		{"a page, of a stranger", false, answer(200, "text/html"), "tag", "tag", "list"},
		{"a page", true, answer(200, "text/html"), "error", "list", "list"},
		{"a redirect", true, func(w http.ResponseWriter) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(http.StatusFound)
		}, "error", "list", "list"},
		{"a page with 404", true, answer(404, "text/html"), "error", "list", "list"},
		{"a page with 400", true, answer(400, "text/html"), "error", "list", "list"},
		{"404, of a stranger", false, answer(404, "text/plain"), "tag", "tag", "tag"},
		{"404", true, answer(404, "text/plain"), "tag", "list", "list"},
		{"405", true, answer(405, "application/json"), "tag", "list", "list"},
		{"502", true, answer(502, "text/html"), "error", "list", "list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, now := newStub(t), time.Now()
			s.put("app/manifests/"+tagOf(subject.Digest), ocispec.MediaTypeImageIndex, index(b))
			r := testRegistry(t, Options{})
			clock := func() time.Time { return now }
			r.withAPI.now, r.withoutAPI.now = clock, clock
			api := list
			s.hook = func(w http.ResponseWriter, r *http.Request) bool {
				hit := strings.Contains(r.URL.Path, "/referrers/")
				if hit {
					api(w)
				}
				if r.URL.Path == "/login" {
					answer(200, "text/html")(w)
				}
				return hit || r.URL.Path == "/login"
			}
			ask := func() string {
				got, err := repository(t, r, s.host()+"/app", nil).Referrers(t.Context(), subject)
				switch found := digests(got); {
				case errors.Is(err, ErrNoReferrersAPI):
					return "no API"
				case err != nil:
					return "error"
				case slices.Equal(found, digests([]ocispec.Descriptor{a})):
					return "list"
				case slices.Equal(found, digests([]ocispec.Descriptor{b})):
					return "tag"
				default:
					return fmt.Sprint(found)
				}
			}
			if tt.had && ask() != "list" {
				t.Fatal("no list to begin with")
			}
			api = tt.odd
			got := []string{ask()}
			api = list
			got = append(got, ask())
			now = now.Add(2 * doubtTime)
			got = append(got, ask())
			if want := []string{tt.want, tt.next, tt.last}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
