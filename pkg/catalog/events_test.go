package catalog_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
)

const secret = "0123456789abcdef"

// As registries send them, with HOST for their own.
const (
	distributionPush = `{"events": [{"id": "1", "timestamp": "2026-11-01T12:00:00Z", "action": "push",
		"target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:x", "repository": "app", "tag": "1"},
		"request": {"host": "HOST", "method": "PUT"}}, {"action": "pull", "target": {"repository": "app", "tag": "2"}, "request": {"host": "HOST"}}]}`
	distributionArtifact = `{"events": [{"action": "push", "target": {"repository": "app", "digest": "sha256:x"}, "request": {"host": "HOST"}}]}`
	zotStructured        = `{"specversion": "1.0", "id": "1", "source": "zot", "type": "zotregistry.image.updated", "datacontenttype": "application/json",
		"data": {"name": "app", "reference": "1", "digest": "sha256:x", "mediaType": "application/vnd.oci.image.manifest.v1+json"}}`
	zotBinary  = `{"name": "app", "reference": "1", "digest": "sha256:x", "mediaType": "application/vnd.oci.image.manifest.v1+json", "manifest": "{\"schemaVersion\":2}"}`
	zotDigest  = `{"name": "app", "reference": "sha256:x", "digest": "sha256:x"}`
	zotCreated = `{"name": "app"}`
	harborPush = `{"type": "PUSH_ARTIFACT", "occur_at": 1, "operator": "admin", "event_data": {"resources": [{"digest": "sha256:x", "tag": "1", "resource_url": "HOST/app:1"}],
		"repository": {"date_created": 1, "name": "app", "namespace": "", "repo_full_name": "app", "repo_type": "private"}}}`
	harborDigest = `{"type": "PUSH_ARTIFACT", "event_data": {"resources": [{"digest": "sha256:x", "tag": "sha256:x", "resource_url": "HOST/app@sha256:x"}],
		"repository": {"repo_full_name": "app"}}}`
	harborCloudEvent = `{"specversion": "1.0", "id": "66e1", "requestid": "51c0", "source": "/projects/2/webhook/policies/15", "type": "harbor.artifact.pushed",
		"datacontenttype": "application/json", "time": "2026-11-01T12:00:00Z", "operator": "admin", "data": {"resources": [{"digest": "sha256:x", "tag": "1",
		"resource_url": "https://HOST/app:1"}], "repository": {"name": "app", "namespace": "", "repo_full_name": "app", "repo_type": "private"}}}`
)

func TestNotificationsAreKeptForTheNextSync(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, auth, registry string
		status                     int
		looked                     string // requests of the sync
	}{
		{"distribution", distributionPush, "Bearer " + secret, "", http.StatusAccepted, "HEAD manifests/1"},
		{"an artifact", distributionArtifact, "Bearer " + secret, "", http.StatusAccepted, "lists"},
		{"zot", zotStructured, "Bearer " + secret, "HOST", http.StatusAccepted, "HEAD manifests/1"},
		{"zot in binary mode", zotBinary, "basic", "HOST", http.StatusAccepted, "HEAD manifests/1"},
		{"zot, by digest", zotDigest, "basic", "HOST", http.StatusAccepted, "lists"},
		{"zot, a new repository", zotCreated, "basic", "HOST", http.StatusAccepted, "lists"},
		{"Harbor", harborPush, secret, "", http.StatusAccepted, "HEAD manifests/1"},
		{"Harbor, by digest", harborDigest, secret, "", http.StatusAccepted, "lists"},
		{"Harbor, deleted", strings.ReplaceAll(harborPush, "PUSH_", "DELETE_"), secret, "", http.StatusAccepted, "HEAD manifests/1"},
		{"Harbor as CloudEvents", harborCloudEvent, "Bearer " + secret, "", http.StatusAccepted, "HEAD manifests/1"},
		{"Harbor, a pull", strings.ReplaceAll(harborPush, "PUSH_", "PULL_"), secret, "", http.StatusAccepted, ""},
		{"Harbor as CloudEvents, a pull", strings.ReplaceAll(harborCloudEvent, "pushed", "pulled"), secret, "", http.StatusAccepted, ""},
		{"Harbor, a quota", `{"type": "QUOTA_EXCEED", "event_data": {"repository": {"repo_full_name": "app"}, "custom_attributes": {"Details": "x"}}}`, secret, "", http.StatusAccepted, ""},
		{"distribution, a layer", strings.ReplaceAll(distributionArtifact, `"target": {`, `"target": {"mediaType": "application/octet-stream", `), "Bearer " + secret, "", http.StatusAccepted, ""},
		{"a deletion by digest", strings.ReplaceAll(distributionArtifact, "push", "delete"), "Bearer " + secret, "", http.StatusAccepted, "lists"},
		{"another registry", strings.ReplaceAll(distributionPush, "HOST", "169.254.169.254"), "Bearer " + secret, "", http.StatusAccepted, ""},
		{"another repository", strings.ReplaceAll(distributionPush, `"app"`, `"other"`), "Bearer " + secret, "", http.StatusAccepted, ""},
		{"no tag at all", strings.ReplaceAll(distributionPush, `"1"`, `"../../x"`), "Bearer " + secret, "", http.StatusAccepted, ""},
		{"no secret", distributionPush, "", "", http.StatusUnauthorized, ""},
		{"a wrong secret", distributionPush, "Bearer 0123456789abcdeX", "", http.StatusUnauthorized, ""},
		{"not JSON", "<xml>", "Bearer " + secret, "", http.StatusBadRequest, ""},
		{"something else", `{"hello": 1}`, "Bearer " + secret, "", http.StatusBadRequest, ""},
		{"a large body", `{"events": [` + strings.Repeat(" ", 5<<20) + `]}`, "Bearer " + secret, "", http.StatusBadRequest, ""},
		{"many events", `{"events": [` + strings.TrimSuffix(strings.Repeat(`{"action": "push"},`, 1001), ",") + `]}`, "Bearer " + secret, "", http.StatusBadRequest, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := fakeregistry.New(t, fakeregistry.Options{})
			reg.In("app").Image("linux/amd64", "app", "1")
			c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{})
			catalogtest.Add(t, c, reg.Host()+"/app")
			syncer := catalogtest.Syncer(t, c)
			catalogtest.Sync(t, syncer)
			reg.Forget()
			l := &catalog.Listener{Catalog: c, Secret: secret, Registry: strings.ReplaceAll(tt.registry, "HOST", reg.Host()), Log: slog.New(slog.DiscardHandler)}
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.ReplaceAll(tt.body, "HOST", reg.Host())))
			if tt.auth == "basic" {
				r.SetBasicAuth("zot", secret)
			} else {
				r.Header.Set("Authorization", tt.auth)
			}
			w := httptest.NewRecorder()
			l.ServeHTTP(w, r)
			if w.Code != tt.status || strings.Contains(w.Body.String(), secret) {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if n := len(reg.Recorded()); n > 0 {
				t.Errorf("a notification made %d requests", n)
			}
			if _, err := syncer.Pending(t.Context()); err != nil {
				t.Fatal(err)
			}
			switch got := reg.Requests(); {
			case tt.looked == "lists":
				if len(got) != 2 || got[0] != "HEAD manifests/1" || !strings.HasPrefix(got[1], "GET referrers/") {
					t.Errorf("requests %q", got)
				}
			case strings.Join(got, " ") != tt.looked:
				t.Errorf("requests %q, want %q", got, tt.looked)
			}
			if stats, err := c.Stats(t.Context()); err != nil || stats.Pending != 0 {
				t.Errorf("%v: %d names wait", err, stats.Pending)
			}
		})
	}
}

// A registry that does not answer leaves the names for the next time.
func TestAnnouncedNamesWaitForTheRegistry(t *testing.T) {
	t.Parallel()
	reg := fakeregistry.New(t, fakeregistry.Options{})
	reg.In("app").Image("linux/amd64", "app", "1")
	c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{})
	catalogtest.Add(t, c, reg.Host())
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.ReplaceAll(distributionPush, "HOST", reg.Host())))
	r.Header.Set("Authorization", "Bearer "+secret)
	(&catalog.Listener{Catalog: c, Secret: secret, Log: slog.New(slog.DiscardHandler)}).ServeHTTP(httptest.NewRecorder(), r)
	reg.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	s, err := catalogtest.Syncer(t, c).Pending(t.Context())
	if err != nil || len(s.Failed) != 1 {
		t.Errorf("%v %+v", err, s)
	}
	reg.Answer(nil)
	if s, err = catalogtest.Syncer(t, c).Pending(t.Context()); err != nil || fmt.Sprint(s.New, len(s.Failed)) != "1 0" {
		t.Errorf("%v %+v", err, s)
	}
}
