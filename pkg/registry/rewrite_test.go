package registry

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// TestRepositoriesAreRewrittenAsTheContainerdOfK3sDoes: by the first expression that
// changes the path, at that mirror alone, in the scope of the token too.
func TestRepositoriesAreRewrittenAsTheContainerdOfK3sDoes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rewrite bool
		rules   string
		want    string
	}{
		"the whole path":                  {true, `"^team/(.*)$" = "mirror/$1"`, "mirror/app"},
		"a prefix for all":                {true, `"(.*)" = "proxy-cache/$1"`, "proxy-cache/team/app"},
		"the first that changes":          {true, `"^a" = "x"` + "\n" + `"^team/" = "b/"` + "\n" + `"app$" = "c"`, "b/app"},
		"an expression that is not one":   {true, `"(" = "x"` + "\n" + `"team" = "mirror"`, "mirror/app"},
		"nothing that matches":            {true, `"^other/" = "x/"`, "team/app"},
		"on a containerd that has it not": {false, `"^team/(.*)$" = "mirror/$1"`, "team/app"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mirror, origin := newStubWith(t, fakeregistry.Options{}), newStubWith(t, fakeregistry.Options{})
			desc := mirror.putManifest(test.want, "1", ocispec.MediaTypeImageIndex, index())
			var scopes []string
			mirror.hook = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.URL.Path == "/token":
					scopes = append(scopes, r.URL.Query()["scope"]...)
					_, _ = fmt.Fprint(w, `{"token":"t"}`)
				case r.Header.Get("Authorization") == "":
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+mirror.URL+`/token",service="s"`)
					w.WriteHeader(http.StatusUnauthorized)
				default:
					return false
				}
				return true
			}
			root := hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\n[host.%[2]q.rewrite]\n%s\n", origin.URL, mirror.URL, test.rules))
			repo := repository(t, testRegistry(t, Options{HostsPath: root, Tables: Tables{Rewrite: test.rewrite}}), "registry.test/team/app", nil)
			if got, err := repo.Resolve(t.Context(), "1"); err != nil || got.Digest != desc.Digest {
				t.Fatalf("resolve: %v, %v", got, err)
			}
			if _, err := repo.Manifest(t.Context(), desc); err != nil {
				t.Fatal(err)
			}
			if _, err := repo.Referrers(t.Context(), desc); err != nil {
				t.Fatal(err)
			}
			for _, request := range mirror.requests() {
				if !strings.Contains(request, "/v2/"+test.want+"/") && !strings.Contains(request, "/token") {
					t.Errorf("the mirror was asked %s", request)
				}
			}
			if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return s != "repository:"+test.want+":pull" }) {
				t.Errorf("tokens for %q", scopes)
			}
			if got := origin.requests(); len(got) > 0 {
				t.Errorf("the registry was asked %q", got)
			}
		})
	}
}

// TestTheRegistryItselfIsAskedWithoutRewrites, and pages of a rewritten list are followed.
func TestTheRegistryItselfIsAskedWithoutRewrites(t *testing.T) {
	t.Parallel()
	mirror, origin := newStubWith(t, fakeregistry.Options{}), newStubWith(t, fakeregistry.Options{})
	origin.putManifest("team/app", "1", ocispec.MediaTypeImageIndex, index())
	mirrored := mirror.putManifest("m/app", "2", ocispec.MediaTypeImageIndex, index(descOf("x")))
	pages := 0
	mirror.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v2/m/app/referrers/") {
			return false
		}
		if pages++; pages == 1 {
			w.Header().Set("Link", "<"+r.URL.Path+"?n=2>; rel=\"next\"")
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write(index(descOf(fmt.Sprint(pages))))
		return true
	}
	root := hostsFile(t, fmt.Sprintf("server = %q\n[host.%q]\n[host.%[2]q.rewrite]\n\"^team/\" = \"m/\"\n", origin.URL, mirror.URL))
	r := testRegistry(t, Options{HostsPath: root, Tables: Tables{Rewrite: true}})
	if _, err := repository(t, r, "registry.test/team/app", nil).Resolve(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if got := origin.count("/v2/team/app/manifests/1"); got == 0 {
		t.Errorf("the registry was asked %q", origin.requests())
	}
	repo := repository(t, r, "registry.test/team/app", nil)
	if _, err := repo.Resolve(t.Context(), "2"); err != nil {
		t.Fatal(err)
	}
	if found, err := repo.Referrers(t.Context(), mirrored); err != nil || len(found) != 2 {
		t.Errorf("%d referrers of two pages, %v", len(found), err)
	}
}
