package catalog_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/pkg/catalog"
)

func TestImagesAreFoundByTheNamesOfPulls(t *testing.T) {
	t.Parallel()
	clock := catalogtest.NewClock()
	f := newFilledAt(t, catalog.Options{Now: clock.Now})
	in := func(name string) string { return f.reg.Host() + "/" + name }
	shown, err := f.Show(t.Context(), in("web/nginx:stable"))
	if err != nil {
		t.Fatal(err)
	}
	clock.Add(time.Minute)
	// The registry loses one, and cannot serve a new one.
	f.reg.In("ai/torch").Remove("manifests/11")
	catalogtest.Sync(t, catalogtest.Syncer(t, f.Catalog))
	clock.Add(time.Minute)
	f.reg.In("ai/torch").Image("linux/amd64", "cu13", "13")
	f.reg.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		bad := strings.HasSuffix(r.URL.Path, "/manifests/13")
		if bad {
			w.WriteHeader(http.StatusTeapot)
		}
		return bad
	})
	sources, err := f.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalogtest.Syncer(t, f.Catalog).Sync(t.Context(), sources); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ ask, reference, err string }{
		"a tag":                   {in("web/nginx:1"), in("web/nginx:1"), ""},
		"another tag":             {in("web/nginx:stable"), in("web/nginx:stable"), ""},
		"a digest":                {in("web/nginx@" + shown.Digest.String()), in("web/nginx@" + shown.Digest.String()), ""},
		"a tag and a digest":      {in("web/nginx:7@" + shown.Digest.String()), in("web/nginx@" + shown.Digest.String()), ""},
		"of another repository":   {in("web/other@" + shown.Digest.String()), "", "has no image " + in("web/other@")},
		"no tag":                  {in("web/nginx"), "", "has no image " + in("web/nginx") + ":"},
		"a tag that is not there": {in("web/nginx:2"), "", "has no image " + in("web/nginx:2")},
		"not read":                {in("ai/torch:13"), "", "the last sync could not read it: "},
		"gone":                    {in("ai/torch:11"), "", "any more: its registry lacks it since 2026-11-01 12:01:00"},
	} {
		for _, more := range []int{0, 200} {
			t.Run(fmt.Sprint(name, " and ", more), func(t *testing.T) {
				names := []string{tt.ask}
				for i := range more {
					names = append(names, fmt.Sprint("registry.example/none:", i))
				}
				found, err := f.Named(t.Context(), names, f.rules)
				if err != nil || len(found) != len(names) {
					t.Fatal(len(found), err)
				}
				got := found[0]
				switch {
				case tt.err != "":
					if got.Err == nil || got.Needs != nil || !strings.Contains(got.Err.Error(), tt.err) {
						t.Errorf("got %v, want %s", got.Err, tt.err)
					}
				case got.Err != nil || got.Name != tt.ask || got.Needs.Reference != tt.reference || len(got.Needs.Entries) != 2:
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}
