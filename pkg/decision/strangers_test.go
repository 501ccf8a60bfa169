package decision

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
)

// secretNeed is what a private image asks for; no stranger may read it.
const secretNeed = "SECRETFLAG"

// Who knows the digest of another's private content, and may push to some
// repository, has none of it evaluated by naming it there.
func TestKnowingADigestGivesNoRightToReadIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// name an artifact, its layer or the private image in an image of the stranger's
		stranger func(r *fakeregistry.Registry, artifact, layer, image ocispec.Descriptor)
		is       error // of the decision
	}{
		{"the body of an artifact", func(r *fakeregistry.Registry, _, layer, _ ocispec.Descriptor) {
			own := r.Image("linux/amd64", "own")
			r.Attach(own, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers[0] = layer }})
			r.Index("2", own)
		}, nil},
		{"an artifact", func(r *fakeregistry.Registry, artifact, _, _ ocispec.Descriptor) {
			own := r.Image("linux/amd64", "own")
			r.List(own, artifact)
			r.Index("2", own)
		}, nil},
		{"what an index entry points at", func(r *fakeregistry.Registry, _, layer, _ ocispec.Descriptor) {
			own := r.Image("linux/amd64", "own")
			body := fmt.Sprintf(`{"manifests": [{"mediaType": %q, "digest": %q, "size": %d, "platform": {"os": "linux", "architecture": "amd64",
				"compat": {"mediaType": %q, "digest": %q, "size": %d}}}]}`,
				own.MediaType, own.Digest, own.Size, layer.MediaType, layer.Digest, layer.Size)
			r.Manifest(ocispec.MediaTypeImageIndex, []byte(body), "2")
		}, nil},
		{"a manifest", func(r *fakeregistry.Registry, _, _, image ocispec.Descriptor) { r.Index("2", image) }, nil},
		{"the config of an image", func(r *fakeregistry.Registry, _, _, image ocispec.Descriptor) {
			config := r.In("private").Get(image.Digest).Config
			own := r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config})
			own.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
			r.Index("2", own)
		}, nil},
		{"the index, by the word of the registry alone", func(r *fakeregistry.Registry, _, _, image ocispec.Descriptor) {
			index := r.In("private").Index("1", image) // the same again
			r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/v2/stranger/manifests/2" || req.Method != http.MethodHead {
					return false
				}
				w.Header().Set("Content-Type", index.MediaType)
				w.Header().Set("Docker-Content-Digest", index.Digest.String())
				w.Header().Set("Content-Length", fmt.Sprint(index.Size))
				return true
			})
		}, registry.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t).In("private")
			config := r.Blob(ocispec.MediaTypeImageConfig, `{"config": {"Env": ["NVIDIA_REQUIRE_CUDA=cuda>=99.9", "NVIDIA_VISIBLE_DEVICES=all"]}}`)
			image := r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config})
			image.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
			body := `{"compatibilities": {"io.kubernetes.nfd": {"cpu-cpuid.` + secretNeed + `": true}}}`
			attached := r.Attach(image, fakeregistry.Artifact{Body: body})
			layer := ocispec.Descriptor{MediaType: dialect.LayerTypeOutline, Digest: digest.FromString(body), Size: int64(len(body))}
			r.Index("1", image)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, func(r *Rules) { r.NVIDIARequire = true })
			if d := decide(t, resolver, "registry.example/private:1"); !strings.Contains(d.Reason, secretNeed) || len(d.Candidates[0].claims.Environment) == 0 {
				t.Fatalf("of the owner's image: %s, %v", d.Reason, d.Candidates[0].claims)
			}
			if tt.is != nil {
				resolver.resolved.Add("registry.example/stranger:2", struct{}{}) // so that a HEAD is asked
			}
			tt.stranger(r.In("stranger"), attached, layer, image)
			d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: "registry.example/stranger:2"})
			if tt.is != nil {
				if !errors.Is(err, tt.is) {
					t.Errorf("decided %+v, %v", d, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("%s %+v", d.Reason, d.Candidates)
			if strings.Contains(text, secretNeed) || strings.Contains(text, "99.9") {
				t.Errorf("the stranger reads %s", text)
			}
		})
	}
}

// Where a repository has the same content as another, its registry is asked
// once, and then no more.
func TestSameContentInTwoRepositoriesIsFetchedFromBoth(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	for _, r := range []*fakeregistry.Registry{r.In("one"), r.In("two")} {
		image := r.Image("linux/amd64", "a")
		r.Attach(image, fakeregistry.Artifact{Attributes: avx2})
		r.Index("1", image)
	}
	resolver := newTestResolver(t, r, testkit.Node(1))
	for _, repository := range []string{"registry.example/one:1", "registry.example/two:1"} {
		for _, want := range []int{5, 1} { // index, two lists, artifact, body; then the tag
			decide(t, resolver, repository)
			if asked := r.Requests(); len(asked) != want {
				t.Errorf("%s: asked %q, want %d requests", repository, asked, want)
			}
		}
	}
}

// What was decided with the credentials of one is told to nobody else before
// the registry has agreed.
func TestADecisionIsOnlyForCredentialsThatTheRegistryAccepts(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	image := r.Image("linux/amd64", "a")
	r.Attach(image, fakeregistry.Artifact{Attributes: avx512})
	index := r.Index("1", image)
	withoutLists := false
	r.Answer(func(w http.ResponseWriter, req *http.Request) bool {
		user, password, _ := req.BasicAuth()
		switch {
		case user == "alice" && password == "a", user == "bob" && password == "b" && !withoutLists:
			return false
		case user == "bob" && password == "b" && !strings.Contains(req.URL.Path, "/referrers/"):
			return false
		case user == "bob":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		}
		return true
	})
	resolver := newTestResolver(t, r, testkit.Node(1))
	ask := func(ref, user, password string) error {
		d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: ref, Auth: &registry.Auth{Username: user, Password: password}})
		if err == nil && !d.Refused() {
			t.Errorf("%s as %s: %s", ref, user, d.Reason)
		}
		return err
	}
	for _, ref := range []string{app, "registry.example/app@" + index.Digest.String()} {
		for range 2 {
			if err := ask(ref, "alice", "a"); err != nil {
				t.Fatal(err)
			}
			for user, password := range map[string]string{"alice": "wrong", "mallory": "a", "": ""} {
				r.Requests()
				if err := ask(ref, user, password); !errors.Is(err, registry.ErrUnauthorized) {
					t.Errorf("%s as %q with %q: %v", ref, user, password, err)
				}
				if len(r.Requests()) == 0 {
					t.Errorf("%s as %q: the registry was not asked", ref, user)
				}
			}
		}
		if err := ask(ref, "bob", "b"); err != nil {
			t.Errorf("bob, whom the registry serves: %v", err)
		}
	}
	withoutLists = true
	change(resolver, func(r *Rules) { r.ReferrersTTL = 0 })
	// Bob may read the image and not what is attached to it. To him there is nothing, which
	// is no reason to tell alice the same.
	for range 2 {
		d, err := resolver.Decide(t.Context(), Request{Snapshot: resolver.Snapshot(), Reference: app, Auth: &registry.Auth{Username: "bob", Password: "b"}})
		if err != nil || d.Choice != 0 || len(d.Candidates[0].Artifacts) > 0 {
			t.Errorf("an earlier list stood in for one that is not for bob: %+v, %v", d, err)
		}
		if err := ask(app, "alice", "a"); err != nil {
			t.Errorf("alice, after bob: %v", err)
		}
	}
}

// Requests with other credentials are never taken for one another.
func TestRequestsDifferByReferenceAndCredentials(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	add := func(name string, req Request) {
		if other, taken := keys[req.key()]; taken {
			t.Errorf("%s and %s share a look-up", name, other)
		}
		keys[req.key()] = name
	}
	add("no credentials", Request{Reference: app})
	add("another reference", Request{Reference: app + "2"})
	fields := reflect.TypeFor[registry.Auth]()
	for i := range fields.NumField() {
		for _, value := range []string{"x", "y", `x" "`} {
			auth := new(registry.Auth)
			reflect.ValueOf(auth).Elem().Field(i).SetString(value)
			add(fields.Field(i).Name+" "+value, Request{Reference: app, Auth: auth})
		}
	}
	if empty := (Request{Reference: app, Auth: &registry.Auth{}}); keys[empty.key()] != "no credentials" {
		t.Error("empty credentials are not taken for none")
	}
}
