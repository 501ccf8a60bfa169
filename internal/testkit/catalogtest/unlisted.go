package catalogtest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
)

// unlisted takes repositories from a registry, and references from a list.
func unlisted(t *testing.T, open Opener) {
	reg, clock := fakeregistry.New(t, fakeregistry.Options{}), NewClock()
	for _, repository := range []string{"stays", "deleted", "hidden"} {
		reg.In(repository).Image("linux/amd64", repository, "1")
	}
	c, _ := open(t, clock.Now)
	s := Syncer(t, c)
	list := filepath.Join(t.TempDir(), "images.txt")
	write := func(repositories ...string) {
		t.Helper()
		if err := os.WriteFile(list, []byte(reg.Host()+"/"+strings.Join(repositories, ":1\n"+reg.Host()+"/")+":1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("stays", "hidden")
	Add(t, c, reg.Host())
	source, err := catalog.PathSource(catalog.FromList, list)
	if err == nil {
		_, err = c.Add(t.Context(), source)
	}
	if err != nil {
		t.Fatal(err)
	}
	Sync(t, s)
	if got := Answer(t, c, reg.Host(), "source = list"); got != "hidden:1 amd64, stays:1 amd64" {
		t.Errorf("in the list: %s", got)
	}
	clock.Add(time.Hour)
	write("stays")
	reg.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/v2/_catalog":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"repositories": ["stays"]}`))
		case strings.HasPrefix(r.URL.Path, "/v2/deleted/"):
			w.WriteHeader(http.StatusNotFound)
		default:
			return false
		}
		return true
	})
	if got := Sync(t, s); got.Gone != 1 || got.Problems != 0 {
		t.Errorf("sync: %+v", got)
	}
	if got := Answer(t, c, reg.Host(), ""); got != "hidden:1 amd64, stays:1 amd64" {
		t.Errorf("in the registry: %s", got)
	}
	if got := Answer(t, c, reg.Host(), "source = list"); got != "stays:1 amd64" {
		t.Errorf("in the list: %s", got)
	}
	clock.Add(time.Hour)
	if got := Sync(t, s); got.Gone != 0 {
		t.Errorf("again: %+v", got)
	}
}
