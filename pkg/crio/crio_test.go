package crio

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/pkg/registry"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// served serves a configuration at the socket of a CRI-O, as it does beside the CRI.
func served(t *testing.T, status int, text string) (endpoint string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "crio.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/config" {
				http.NotFound(w, r)
				return
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}),
	}}
	server.Start()
	t.Cleanup(server.Close)
	return "unix://" + socket
}

func TestRunningCRIOIsAskedForItsConfiguration(t *testing.T) {
	t.Parallel()
	const text = `
[crio]
  root = "/var/lib/containers/storage"
  [crio.image]
    default_transport = "docker://"
    global_auth_file = "/auth.json"
    pause_image = "registry.k8s.io/pause:3.10.1"
    pinned_images = ["quay.io/team/agent:1", "quay.io/infra/*", "*monitor*"]
    signature_policy = "/policy.json"
    signature_policy_dir = "/policies"
`
	none := filepath.Join(t.TempDir(), "registries.conf")
	defaults := Settings{
		Policy: "/etc/containers/policy.json", Policies: "/etc/crio/policies", Pinned: []string{"registry.k8s.io/pause*"},
		Registries: registry.Containers{Aliases: map[string]string{}, AuthFiles: []string{"/run/containers/0/auth.json"}},
	}
	configured := defaults
	configured.Policy, configured.Policies, configured.AuthFile = "/policy.json", "/policies", "/auth.json"
	configured.Pinned = []string{"quay.io/team/agent:1", "quay.io/infra/*", "*monitor*", "registry.k8s.io/pause:3.10.1"}
	configured.Registries.AuthFiles = []string{"/auth.json", "/run/containers/0/auth.json"}
	for name, tt := range map[string]struct {
		endpoint string
		want     Settings
		err      string
	}{
		"configured":  {served(t, http.StatusOK, text), configured, ""},
		"not there":   {served(t, http.StatusNotFound, ""), defaults, "status 404"},
		"not TOML":    {served(t, http.StatusOK, "<html>"), defaults, "not TOML"},
		"not running": {"unix://" + filepath.Join(t.TempDir(), "none.sock"), defaults, "ask CRI-O for its configuration"},
	} {
		got, err := Reader{Endpoint: tt.endpoint, RegistriesConf: none}.Read(t.Context())
		if !reflect.DeepEqual(got, tt.want) || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for ref, want := range map[string]bool{
		"quay.io/team/agent:1": true, "quay.io/team/agent:2": false, "quay.io/infra/a:1": true, "quay.io/x/node-Monitor:1": true,
		"registry.k8s.io/pause:3.10.1": true, "registry.k8s.io/pause:3.9": false,
	} {
		if got := configured.IsPinned(ref); got != want {
			t.Errorf("%s is pinned: %t", ref, got)
		}
	}
}

// TestDropInsOfRegistriesConfReplaceTables: as OpenShift and distributions write them.
func TestDropInsOfRegistriesConfReplaceTables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registries.conf")
	write(t, path, `
unqualified-search-registries = ["registry.access.redhat.com", "docker.io"]
short-name-mode = "enforcing"
[[registry]]
  prefix = ""
  location = "quay.io/openshift-release-dev/ocp-release"
  mirror-by-digest-only = true
  [[registry.mirror]]
    location = "mirror.example:5000/ocp/release/"
[[registry]]
  location = "old.example"
  blocked = true
`)
	write(t, path+".d/000-shortnames.conf", "[aliases]\n\"alpine\" = \"docker.io/library/alpine\"\n")
	write(t, path+".d/99-site.conf", `
unqualified-search-registries = ["docker.io"]
[[registry]]
location = "old.example"
insecure = true
[[registry.mirror]]
location = "a.example"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "b.example"
pull-from-mirror = "digest-only"
insecure = true
`)
	write(t, path+".d/README", "not a configuration")
	got, err := readRegistries(path)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Containers{
		Search: []string{"docker.io"}, Aliases: map[string]string{"alpine": "docker.io/library/alpine"},
		Registries: []registry.ContainersRegistry{
			{
				Prefix: "quay.io/openshift-release-dev/ocp-release", Location: "quay.io/openshift-release-dev/ocp-release",
				Mirrors: []registry.ContainersMirror{{Location: "mirror.example:5000/ocp/release", NotForTags: true}},
			},
			{
				Prefix: "old.example", Location: "old.example", Insecure: true,
				Mirrors: []registry.ContainersMirror{{Location: "a.example", NotForDigests: true}, {Location: "b.example", NotForTags: true, Insecure: true}},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	write(t, path+".d/50-broken.conf", "[[registry]\n")
	if got, err := readRegistries(path); err == nil || !strings.Contains(err.Error(), "50-broken.conf") || len(got.Registries) != 2 {
		t.Errorf("broken drop-in: %+v, %v", got, err)
	}
}

// TestSignaturesAreRequiredByTheClosestScope: only what has to be signed is left as it is.
func TestSignaturesAreRequiredByTheClosestScope(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := Settings{Policy: filepath.Join(dir, "policy.json"), Policies: filepath.Join(dir, "policies")}
	want := func(ref, namespace, kinds string) {
		t.Helper()
		named, err := reference.ParseDockerRef(ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Signatures(named, namespace)
		if err != nil || strings.Join(got, " ") != kinds {
			t.Errorf("%s for %q: %q, %v, want %q", ref, namespace, got, err, kinds)
		}
	}
	want("registry.example/app:1", "default", "") // no policy, so that nothing can be pulled
	write(t, s.Policy, `{
		"default": [{"type": "insecureAcceptAnything"}],
		"transports": {
			"docker": {
				"registry.redhat.io": [{"type": "signedBy", "keyType": "GPGKeys"}],
				"quay.io/team": [{"type": "sigstoreSigned"}, {"type": "signedBy"}],
				"quay.io/team/free": [{"type": "insecureAcceptAnything"}],
				"quay.io/other/app:1": [{"type": "sigstoreSigned"}],
				"*.example.com": [{"type": "sigstoreSigned"}],
				"evil.test": [{"type": "reject"}]
			},
			"docker-daemon": {"": [{"type": "signedBy"}]}
		}}`)
	want("registry.redhat.io/ubi9/ubi:latest", "default", "signedBy")
	want("quay.io/team/app:1", "", "signedBy sigstoreSigned")
	want("quay.io/team/free:1", "", "")
	want("quay.io/teams/app:1", "", "")
	want("quay.io/other/app:1", "", "sigstoreSigned")
	want("quay.io/other/app:2", "", "")
	want("a.b.example.com:5000/app:1", "", "sigstoreSigned")
	want("example.com/app:1", "", "")
	want("evil.test/app:1", "", "")
	want("nginx", "", "")
	write(t, filepath.Join(s.Policies, "strict.json"), `{"default": [{"type": "sigstoreSigned"}]}`)
	want("nginx", "strict", "sigstoreSigned")
	want("nginx", "other", "")
	write(t, s.Policy, `{"default": [{"type": "reject"}], "transports": {"docker": {"": [{"type": "signedBy"}]}}}`)
	want("nginx", "other", "signedBy")
	write(t, s.Policy, "{")
	if _, err := s.Signatures(nil, "default"); err == nil {
		t.Error("a broken policy requires nothing")
	}
}
