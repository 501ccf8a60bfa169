package decision

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
)

// basedOn stores an image that names its base, with the body of its own.
func basedOn(r *fakeregistry.Registry, name string, base digest.Digest, body string) {
	image := r.Image("linux/amd64", "image")
	m := r.Get(image.Digest)
	m.Annotations = map[string]string{ocispec.AnnotationBaseImageName: name, ocispec.AnnotationBaseImageDigest: base.String()}
	image = r.Manifest(ocispec.MediaTypeImageManifest, m)
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	if body != "" {
		r.Attach(image, fakeregistry.Artifact{Body: body})
	}
	r.Index("1", image)
}

func wantsOf(c Candidate) string {
	var got []string
	for _, req := range c.Requirements {
		got = append(got, strings.TrimSpace(req.Want+" "+req.Origin))
	}
	return strings.Join(got, "; ")
}

func TestWhatTheBaseImageNeedsIsInherited(t *testing.T) {
	t.Parallel()
	const of = "base image registry.example/base:9"
	kernel := func(v string) string { return `{"compatibilities": {"oci": {"oci.kernel.versions": ">=` + v + `"}}}` }
	target := func(v string) string { return `{"compatibilities": {"io.archspec": {"target": "` + v + `"}}}` }
	tests := []struct {
		name, own, base, onIndex string
		byIndex, off             bool
		want                     string
	}{
		{"off", "", kernel("99"), "", false, true, ""},
		{"nothing", "", "", "", false, false, ""},
		{"of the base alone", "", kernel("99"), "", false, false, "kernel.version >= 99 " + of},
		{"another fact", `{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`, kernel("99"), "", false, false, "cpu.cpuid AVX2; kernel.version >= 99 " + of},
		{"replaced", kernel("5.8"), kernel("99"), "", false, false, "kernel.version >= 5.8"},
		{"targets of both", target("x86_64_v2"), target("x86_64_v3"), "", false, false, "cpu.archspec x86_64_v2; cpu.archspec x86_64_v3 " + of},
		{"by the index, of the variant", "", kernel("99"), kernel("5"), true, false, "kernel.version >= 99 " + of},
		{"by the index, of the index", "", "", kernel("5"), true, false, "kernel.version >= 5 " + of},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			other := r.In("base")
			base := other.Image("linux/amd64", "base")
			index := other.Index("9", other.Image("linux/arm64", "base"), base)
			for body, subject := range map[string]ocispec.Descriptor{tt.base: base, tt.onIndex: index} {
				if body != "" {
					other.Attach(subject, fakeregistry.Artifact{Body: body})
				}
			}
			named := base.Digest
			if tt.byIndex {
				named = index.Digest
			}
			basedOn(r, "registry.example/base:9", named, tt.own)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, func(rules *Rules) { rules.InheritBase = !tt.off })
			d := explain(t, resolver, app)
			if got := wantsOf(d.Candidates[0]); got != tt.want {
				t.Errorf("requires %q, want %q", got, tt.want)
			}
			if err := resolver.Remember("sha256:x", d, 0); err != nil {
				t.Fatal(err)
			}
			known, err := resolver.Recall(resolver.Snapshot(), "sha256:x")
			if err != nil || known.Best().Outcome != d.Candidates[0].Outcome {
				t.Errorf("admission has %+v, the pull %s, %v", known, d.Candidates[0].Outcome, err)
			}
			change(resolver, func(rules *Rules) { rules.InheritBase = false })
			known, err = resolver.Recall(resolver.Snapshot(), "sha256:x")
			if err != nil || tt.own == "" && known.Best().Outcome != selector.Fits {
				t.Errorf("turned off, admission has %+v, %v", known, err)
			}
		})
	}
}

// A base image that cannot be read does not keep its image from being pulled, and an image
// cannot send this node's requests to where only the node itself is.
func TestABaseImageThatCannotBeReadDoesNotMatter(t *testing.T) {
	t.Parallel()
	gone := digest.FromString("gone")
	inside := newTestRegistry(t) // on a loopback address, which no hosts.toml names
	base := inside.Image("linux/amd64", "base")
	for name, tt := range map[string]struct {
		name   string
		digest digest.Digest
	}{
		"gone":           {"registry.example/base:9", gone},
		"not a name":     {"no such name", gone},
		"this machine":   {inside.Reference(":1"), base.Digest},
		"not a registry": {"127.0.0.1:1/base:9", gone},
		"no digest":      {"registry.example/base:9", "sha256:1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRegistry(t)
			basedOn(r, tt.name, tt.digest, "")
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, func(rules *Rules) { rules.InheritBase = true })
			if d := explain(t, resolver, app); d.Candidates[0].Outcome != selector.Fits || wantsOf(d.Candidates[0]) != "" {
				t.Errorf("%s: %q", d.Candidates[0].Outcome, wantsOf(d.Candidates[0]))
			}
		})
	}
	if asked := inside.Requests(); len(asked) > 0 {
		t.Errorf("an image sent requests to this machine: %q", asked)
	}
}

// The credentials of a pull are for its registry, not for that of a base image.
func TestTheBaseImageOfAnotherRegistryIsReadWithoutCredentials(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	other := r.In("library/base")
	base := other.Image("linux/amd64", "base")
	other.Attach(base, fakeregistry.Artifact{Attributes: avx512})
	basedOn(r, "base:9", base.Digest, "") // of docker.io
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	change(resolver, func(rules *Rules) { rules.InheritBase = true })
	shown := map[string]bool{}
	r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
		_, _, ok := req.BasicAuth()
		if !ok && !strings.Contains(req.URL.Path, "library/base") {
			w.Header().Set("Www-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if ok && strings.Contains(req.URL.Path, "library/base") {
			shown[req.URL.Path] = true
		}
		return false
	})
	d, err := resolver.Decide(t.Context(), Request{Reference: app, Auth: &registry.Auth{Username: "u", Password: "p"}, Snapshot: resolver.Snapshot()})
	if err != nil || d.Candidates[0].Outcome != selector.Unfit {
		t.Fatalf("%+v, %v", d, err)
	}
	if len(shown) > 0 {
		t.Errorf("credentials were shown to %v", shown)
	}
}
