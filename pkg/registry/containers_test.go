package registry

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestRegistriesConfSaysWhereARepositoryIs: the right column is what
// containers-registries.conf(5) makes of the tables.
func TestRegistriesConfSaysWhereARepositoryIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		registries []ContainersRegistry
		image      string
		want       []string
	}{
		{"nothing", nil, "alpine", []string{"registry-1.docker.io library/alpine"}},
		{"another registry", []ContainersRegistry{{Prefix: "other.test", Location: "mirror.test"}}, "registry.test/app", []string{"registry.test app"}},
		{"moved", []ContainersRegistry{{Prefix: "docker.io", Location: "mirror.test/hub"}}, "alpine", []string{"mirror.test hub/library/alpine"}},
		{
			"mirrors, two at one host",
			[]ContainersRegistry{{Prefix: "registry.test/team", Location: "registry.test/team", Mirrors: []ContainersMirror{
				{Location: "mirror.test/a"}, {Location: "mirror.test/b"}, {Location: "other.test:5000"},
			}}},
			"registry.test/team/app",
			[]string{"mirror.test a/app", "mirror.test b/app", "other.test:5000 app", "registry.test team/app"},
		},
		{
			"the longest prefix",
			[]ContainersRegistry{{Prefix: "registry.test/a/b", Location: "long.test"}, {Prefix: "registry.test/a", Location: "short.test"}},
			"registry.test/a/b/c", []string{"long.test c"},
		},
		{"a whole element", []ContainersRegistry{{Prefix: "registry.test/a", Location: "mirror.test"}}, "registry.test/ab", []string{"registry.test ab"}},
		{"one repository", []ContainersRegistry{{Prefix: "registry.test/a", Location: "mirror.test/other"}}, "registry.test/a", []string{"mirror.test other"}},
		{"subdomains", []ContainersRegistry{{Prefix: "*.registry.test", Location: "mirror.test"}}, "a.registry.test/app", []string{"mirror.test app"}},
		{"subdomains as they are", []ContainersRegistry{{Prefix: "*.registry.test", Insecure: true}}, "a.b.registry.test/app", []string{"a.b.registry.test app"}},
		{"not the domain itself", []ContainersRegistry{{Prefix: "*.registry.test", Location: "mirror.test"}}, "registry.test/app", []string{"registry.test app"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			repo := repository(t, testRegistry(t, Options{Tables: Tables{Containers: &Containers{Registries: tt.registries, CertDirs: []string{}}}}), tt.image, nil)
			var got []string
			for _, host := range repo.hosts {
				got = append(got, host.Host+" "+repo.pathAt(host))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("asks %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMirrorsOfRegistriesConfAreAskedForWhatTheyAreFor: by tags or by digests alone.
func TestMirrorsOfRegistriesConfAreAskedForWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		mirror              ContainersMirror
		byTag, byDigest     bool
		referrersFromMirror bool
	}{
		{"all", ContainersMirror{}, true, true, true},
		{"digests", ContainersMirror{NotForTags: true}, false, true, true},
		{"tags", ContainersMirror{NotForDigests: true}, true, true, true}, // what it resolved it also has
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mirror, upstream := newStub(t), newStub(t)
			body := index()
			desc := mirror.putManifest("copy/app", "1", ocispec.MediaTypeImageIndex, body)
			upstream.putManifest("team/app", "1", ocispec.MediaTypeImageIndex, body)
			tt.mirror.Location, tt.mirror.Insecure = mirror.host()+"/copy", true
			c := &Containers{CertDirs: []string{}, Registries: []ContainersRegistry{{
				Prefix: "registry.test", Location: upstream.host() + "/team", Insecure: true, Mirrors: []ContainersMirror{tt.mirror},
			}}}
			r := testRegistry(t, Options{Tables: Tables{Containers: c}})
			for ref, byMirror := range map[string]bool{"1": tt.byTag, desc.Digest.String(): tt.byDigest} {
				before := len(upstream.requests())
				repo := repository(t, r, "registry.test/app", nil)
				if _, err := repo.Resolve(t.Context(), ref); err != nil {
					t.Fatal(err)
				}
				if asked := len(upstream.requests()) > before; asked == byMirror {
					t.Errorf("%s: the registry itself is asked: %t", ref, asked)
				}
				if _, err := repo.Referrers(t.Context(), desc); err != nil {
					t.Fatal(err)
				}
				if asked := len(upstream.requests()) > before; byMirror && asked {
					t.Errorf("%s: the registry itself is asked for referrers: %q", ref, upstream.requests())
				}
			}
		})
	}
}

func TestBlockedRegistryIsNotAsked(t *testing.T) {
	t.Parallel()
	r := testRegistry(t, Options{Tables: Tables{Containers: &Containers{Registries: []ContainersRegistry{{Prefix: "registry.test", Blocked: true}}}}})
	named, err := reference.ParseNormalizedNamed("registry.test/app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Repository(named, nil); !errors.Is(err, ErrBlocked) {
		t.Errorf("got %v", err)
	}
}

// TestTLSOfCRIOApplies: certificates are in folders by host, and HTTP is allowed where
// certificates are not verified.
func TestTLSOfCRIOApplies(t *testing.T) {
	t.Parallel()
	plain, s := newStub(t), newStub(t)
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Server.Close)
	s.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	plain.putManifest("app", "1", ocispec.MediaTypeImageIndex, index())
	host, certs, empty := strings.TrimPrefix(s.URL, "https://"), t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(certs, host), 0o700); err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(certs, host, "ca.crt"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		host, certs string
		insecure    bool
		err         string
	}{
		"unknown certificate": {host, empty, false, "certificate"},
		"CA of the host":      {host, certs, false, ""},
		"insecure":            {host, empty, true, ""},
		"HTTP":                {plain.host(), empty, false, "HTTP response to HTTPS client"},
		"insecure HTTP":       {plain.host(), empty, true, ""},
	} {
		c := &Containers{CertDirs: []string{tt.certs}, Registries: []ContainersRegistry{{Prefix: tt.host, Location: tt.host, Insecure: tt.insecure}}}
		repo := repository(t, testRegistry(t, Options{Tables: Tables{Containers: c}}), tt.host+"/app", nil)
		if _, err := repo.Resolve(t.Context(), "1"); (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", name, err, tt.err)
		}
	}
}

// TestNodesOwnCredentialsAreForPullsWithout: kubelets send credentials of the registry
// that the image is named after, and none for its mirrors.
func TestNodesOwnCredentialsAreForPullsWithout(t *testing.T) {
	t.Parallel()
	mirror := newStub(t)
	mirror.putManifest("copy/app", "1", ocispec.MediaTypeImageIndex, index())
	var users []string
	mirror.hook = func(w http.ResponseWriter, r *http.Request) bool {
		user, _, ok := r.BasicAuth()
		if !ok {
			w.Header().Set("Www-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		users = append(users, user)
		return false
	}
	file := filepath.Join(t.TempDir(), "auth.json")
	encoded := base64.StdEncoding.EncodeToString([]byte("node:secret"))
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"auths": {"%s/copy": {"auth": %q}}}`, mirror.host(), encoded), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Containers{
		CertDirs: []string{}, AuthFiles: []string{filepath.Join(t.TempDir(), "none.json"), file},
		Registries: []ContainersRegistry{{Prefix: "registry.test", Location: mirror.host() + "/copy", Insecure: true}},
	}
	r := testRegistry(t, Options{Tables: Tables{Containers: c}})
	for _, auth := range []*Auth{nil, {Username: "pod", Password: "secret"}} {
		if _, err := repository(t, r, "registry.test/app", auth).Resolve(t.Context(), "1"); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(users, []string{"node", "pod"}) {
		t.Errorf("users %q", users)
	}
}

func TestShortNameStandsForOneReference(t *testing.T) {
	t.Parallel()
	one := Containers{Search: []string{"docker.io"}, Aliases: map[string]string{"ubi9": "registry.access.test/ubi9"}}
	two := Containers{Search: []string{"docker.io", "quay.io"}, Aliases: one.Aliases}
	digest := descOf("a").Digest.String()
	for _, tt := range []struct {
		containers  Containers
		short, want string
	}{
		{one, "app", "docker.io/library/app:latest"},
		{one, "team/app:1", "docker.io/team/app:1"},
		{one, "app@" + digest, "docker.io/library/app@" + digest},
		{two, "app:1", ""},
		{two, "ubi9:1", "registry.access.test/ubi9:1"},
		{two, "ubi9", "registry.access.test/ubi9:latest"},
		{Containers{}, "app", ""},
		{one, "App", ""},
	} {
		got, known := tt.containers.Expand(tt.short)
		if known != (tt.want != "") || known && got.String() != tt.want {
			t.Errorf("%s: %v, %t, want %q", tt.short, got, known, tt.want)
		}
	}
}
