package registry

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestTablesNameTheHostsThatContainerd17Asks: the right column is what registryEndpoints and registryHosts of
// containerd 1.7.35 make of the tables.
func TestTablesNameTheHostsThatContainerd17Asks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		mirrors map[string][]string
		image   string
		want    []string
	}{
		{"no mirrors", nil, "alpine", []string{"https://registry-1.docker.io/v2"}},
		{"kind", map[string][]string{"localhost:5001": {"http://kind-registry:5000"}}, "localhost:5001/app", []string{"http://kind-registry:5000/v2", "http://localhost:5001/v2"}},
		{"GKE", map[string][]string{"docker.io": {"https://mirror.gcr.io", "https://registry-1.docker.io"}}, "alpine", []string{"https://mirror.gcr.io/v2", "https://registry-1.docker.io/v2"}},
		{"k3s, with a path", map[string][]string{"docker.io": {"https://mirror.example/v2/proxy"}}, "alpine", []string{"https://mirror.example/v2/proxy", "https://registry-1.docker.io/v2"}},
		{"RKE2, every registry", map[string][]string{"*": {"https://mirror.example"}}, "registry.test/app", []string{"https://mirror.example/v2", "https://registry.test/v2"}},
		{"an entry of its own hides *", map[string][]string{"*": {"https://mirror.example"}, "registry.test": {}}, "registry.test/app", []string{"https://registry.test/v2"}},
		{"without a scheme", map[string][]string{"registry.test": {"mirror.example:5000", "127.0.0.1:5000"}}, "registry.test/app", []string{"https://mirror.example:5000/v2", "http://127.0.0.1:5000/v2", "https://registry.test/v2"}},
		{"the registry by HTTP", map[string][]string{"registry.test:5000": {"http://registry.test:5000"}}, "registry.test:5000/app", []string{"http://registry.test:5000/v2"}},
		{"a slash at the end", map[string][]string{"registry.test": {"https://mirror.example/"}}, "registry.test/app", []string{"https://mirror.example/", "https://registry.test/v2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			repo := repository(t, testRegistry(t, Options{Tables: Tables{Replace: true, Mirrors: tt.mirrors}}), tt.image, nil)
			var got []string
			for _, host := range repo.hosts {
				got = append(got, host.Scheme+"://"+host.Host+host.Path)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("asks %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCredentialsAndHeadersOfTablesReachTheMirror: a pull that brings credentials, even empty ones, is not given the node's.
func TestCredentialsAndHeadersOfTablesReachTheMirror(t *testing.T) {
	t.Parallel()
	mirror := newStub(t)
	mirror.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	mirror.hook = func(w http.ResponseWriter, r *http.Request) bool {
		user, secret, _ := r.BasicAuth()
		if user == "node" && secret == "password" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	tables := Tables{
		Replace: true, Mirrors: map[string][]string{"registry.test": {mirror.URL}},
		Auths:   map[string]Auth{mirror.host(): {Username: "node", Password: "password"}},
		Headers: http.Header{"X-Site": {"a"}, "Accept": {"text/html"}},
	}
	for name, path := range map[string]string{"tables": "", "hosts.toml": hostsFile(t, fmt.Sprintf("[host.%q]\n", mirror.URL))} {
		tables.Replace = path == ""
		r := testRegistry(t, Options{HostsPath: path, Tables: tables})
		if _, err := repository(t, r, "registry.test/app", nil).Resolve(t.Context(), "1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := repository(t, r, "registry.test/app", &Auth{}).Resolve(shortly(t, 2*time.Second), "1"); err == nil {
			t.Errorf("%s: a pull with credentials of its own was given the node's", name)
		}
	}
	if got := mirror.headers("X-Site"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("X-Site: %q", got)
	}
}

func TestTLSOfTablesApplies(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Server.Close)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(s.URL, "https://")
	for name, tt := range map[string]struct {
		tls TLS
		err string
	}{
		"none":             {TLS{}, "certificate"},
		"ca_file":          {TLS{CAFile: ca}, ""},
		"not verified":     {TLS{InsecureSkipVerify: true}, ""},
		"no such ca_file":  {TLS{CAFile: ca + "x"}, "read CA certificates"},
		"cert without key": {TLS{CertFile: ca}, "read client certificate"},
	} {
		r := testRegistry(t, Options{Tables: Tables{
			Replace: true, Mirrors: map[string][]string{host: {s.URL}}, TLS: map[string]TLS{host: tt.tls},
		}})
		named, err := reference.ParseNormalizedNamed(host + "/app")
		if err != nil {
			t.Fatal(err)
		}
		repo, err := r.Repository(named, nil)
		if err == nil {
			_, err = repo.Resolve(t.Context(), "1")
		}
		if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", name, err, tt.err)
		}
	}
}
