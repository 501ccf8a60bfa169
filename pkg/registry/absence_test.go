package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// reply is an answer of a registry.
type reply struct {
	status      int
	media, body string
	challenge   string
}

func (a reply) send(w http.ResponseWriter) {
	if a.challenge != "" {
		w.Header().Set("WWW-Authenticate", a.challenge)
	}
	w.Header().Set("Content-Type", a.media)
	if a.status == http.StatusFound {
		w.Header().Set("Location", "/login")
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

const (
	html  = "text/html; charset=utf-8"
	oci   = ocispec.MediaTypeImageIndex
	plain = "text/plain"
)

// replies are what registries send where they have no referrers. What they are then taken
// for is the same for the API and for the fallback tag.
func replies() map[string]reply {
	all := map[string]reply{
		"200 page":               {200, html, "<!DOCTYPE html><html></html>", ""},
		"200 JSON":               {200, "application/json", "{}", ""},
		"200 no type":            {200, "", "", ""},
		"200 empty":              {200, oci, "", ""},
		"200 manifest":           {200, ocispec.MediaTypeImageManifest, `{"schemaVersion":2}`, ""},
		"200 Docker list":        {200, "application/vnd.docker.distribution.manifest.list.v2+json", `{"schemaVersion":2}`, ""},
		"302 login":              {302, html, "", ""},
		"401 without challenge":  {401, "application/json", `{"errors":[{"code":"UNAUTHORIZED"}]}`, ""},
		"401 basic":              {401, plain, "", `Basic realm="x"`},
		"404 page":               {404, html, "<html>", ""},
		"404 JSON":               {404, "application/json", `{"errors":[{"code":"NOT_FOUND"}]}`, ""},
		"404 JSON of the image":  {404, "application/json", `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, ""},
		"404 JSON of repository": {404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`, ""},
		"400 JSON":               {400, "application/json", `{"errors":[{"code":"TAG_INVALID"}]}`, ""},
	}
	for _, code := range []int{202, 204, 206, 400, 402, 403, 404, 405, 406, 409, 410, 412, 414, 415, 416, 418, 421, 422, 424, 451, 501} {
		all[fmt.Sprintf("%d without a body", code)] = reply{status: code, media: plain}
	}
	return all
}

// answering answers requests for the referrers API, and for the tag if tag is not nil.
func answering(s *stub, api reply, tag *reply) {
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.Contains(r.URL.Path, "/referrers/"):
			api.send(w)
		case tag != nil && strings.Contains(r.URL.Path, "/manifests/sha256-"):
			tag.send(w)
		default:
			return false
		}
		return true
	}
}

func TestWhatRegistriesSendWithoutReferrersMeansThatThereAreNone(t *testing.T) {
	t.Parallel()
	subject, b := descOf("subject"), descOf("b")
	for name, answer := range replies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			s.put("app/manifests/"+tagOf(subject.Digest), oci, index(b))
			answering(s, answer, nil)
			got, err := direct(t, s, nil).ListReferrers(t.Context(), subject, FallbackTag)
			if err != nil || !slices.Equal(digests(got.Referrers), digests([]ocispec.Descriptor{b})) || !got.NoAPI {
				t.Errorf("by the API: %+v, %v; want those of the tag", got, err)
			}
			answering(s, reply{status: 404, media: plain}, &answer)
			got, err = direct(t, s, nil).ListReferrers(t.Context(), subject, FallbackTag)
			if err != nil || len(got.Referrers) > 0 || !got.NoAPI {
				t.Errorf("by the tag: %+v, %v; want none", got, err)
			}
		})
	}
}

func TestWhatMayBeAnOutageIsAnError(t *testing.T) {
	t.Parallel()
	for _, code := range []int{408, 425, 429, 500, 502, 503, 504, 520, 599} {
		outage := reply{status: code, media: html, body: "<html>"}
		s := newStub(t)
		answering(s, outage, nil)
		if got, err := direct(t, s, nil).Referrers(t.Context(), descOf("x")); err == nil || IsContentError(err) || errors.Is(err, ErrUnauthorized) {
			t.Errorf("%d of the API: %v, %v", code, got, err)
		}
		answering(s, reply{status: 404, media: plain}, &outage)
		if got, err := direct(t, s, nil).Referrers(t.Context(), descOf("x")); err == nil || IsContentError(err) || errors.Is(err, ErrUnauthorized) {
			t.Errorf("%d of the tag: %v, %v", code, got, err)
		}
	}
	s := newStub(t)
	s.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if got, err := direct(t, s, nil).Referrers(t.Context(), descOf("x")); err == nil {
		t.Errorf("a connection that is cut: %v", got)
	}
}

// Whoever may not list the referrers of an image, and may read the image, is told that
// there are none. It says nothing about others, nor where the credentials are wrong.
func TestARefusedListIsEmptyForTheseCredentialsAlone(t *testing.T) {
	t.Parallel()
	subject := descOf("subject")
	for name, tt := range map[string]struct {
		api, image int
		challenge  string
		want       error
	}{
		"403":                     {api: 403, image: 200},
		"403, image not here":     {api: 403, image: 404},
		"403, image is refused":   {api: 403, image: 403, want: ErrUnauthorized},
		"403, token expired":      {api: 403, image: 401, want: ErrUnauthorized},
		"403, image out of order": {api: 403, image: 503, want: ErrUnauthorized},
		"401 with a challenge":    {api: 401, image: 200, challenge: `Basic realm="x"`},
		"401, image is refused":   {api: 401, image: 401, challenge: `Basic realm="x"`, want: ErrUnauthorized},
		"401, no token for it":    {api: 401, image: 200, challenge: "token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := newStub(t), testRegistry(t, Options{})
			if tt.challenge == "token" {
				tt.challenge = fmt.Sprintf(`Bearer realm="%s/token",service="x",scope="repository:app:pull",error="insufficient_scope"`, s.URL)
			}
			allowed := false
			s.hook = func(w http.ResponseWriter, req *http.Request) bool {
				switch {
				case req.URL.Path == "/token":
					reply{200, "application/json", `{"token":"t"}`, ""}.send(w)
				case strings.HasSuffix(req.URL.Path, "/manifests/"+subject.Digest.String()):
					reply{status: tt.image, challenge: tt.challenge}.send(w)
				case strings.Contains(req.URL.Path, "/referrers/") && allowed:
					page(w, oci, descOf("a"))
				case strings.Contains(req.URL.Path, "/referrers/"):
					reply{status: tt.api, challenge: tt.challenge}.send(w)
				default:
					return false
				}
				return true
			}
			got, err := repository(t, r, s.host()+"/app", nil).ListReferrers(t.Context(), subject, FallbackTag)
			if len(got.Referrers) > 0 || !errors.Is(err, tt.want) || err == nil && !got.Personal {
				t.Errorf("refused: %+v, %v; want %v", got, err, tt.want)
			}
			allowed = true
			got, err = repository(t, r, s.host()+"/app", nil).ListReferrers(t.Context(), subject, FallbackTag)
			if len(got.Referrers) != 1 || got.Personal || err != nil {
				t.Errorf("others get %+v, %v", got, err)
			}
		})
	}
}

func TestWhatOneRegistryLacksSaysNothingAboutAnotherBehindTheSameMirror(t *testing.T) {
	t.Parallel()
	mirror := newStub(t)
	mirror.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("ns") == "two.test" && strings.Contains(r.URL.Path, "/referrers/") {
			page(w, oci, descOf("a"))
			return true
		}
		return false
	}
	r := testRegistry(t, Options{HostsPath: mirror.Hosts("one.test", "two.test")})
	for name, want := range map[string]int{"one.test": 0, "two.test": 1} {
		for range 2 {
			got, err := repository(t, r, name+"/team/app", nil).Referrers(t.Context(), descOf("x"))
			if err != nil || len(got) != want {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
	if got := mirror.count("/referrers/"); got != 3 {
		t.Errorf("the API was asked %d times, want once for one.test and twice for two.test: %q", got, mirror.requests())
	}
}
