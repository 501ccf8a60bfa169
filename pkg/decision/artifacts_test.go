package decision

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

const (
	avx2    = `"cpu-cpuid.AVX2": true`
	avx512  = `"cpu-cpuid.AVX512F": true`
	strange = `"fabric.rdma-over-carrier-pigeon": true`
)

// TestArtifactsDecideBetweenEqualPlatforms decides between an image of two entries for the same
// platform, a before b, on a node with AVX2 and without AVX512F.
func TestArtifactsDecideBetweenEqualPlatforms(t *testing.T) {
	t.Parallel()
	newer, older := "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"
	oci := func(t string) map[string]string { return map[string]string{ocispec.AnnotationCreated: t} }
	misspelt := func(t string) map[string]string {
		return map[string]string{"oci.opencontainers.image.created": t}
	}
	tests := []struct {
		name   string
		attach func(r *fakeregistry.Registry, index, a, b ocispec.Descriptor)
		want   string // the outcomes of a and b, and the choice
	}{
		{"none", func(*fakeregistry.Registry, ocispec.Descriptor, ocispec.Descriptor, ocispec.Descriptor) {},
			"fits, fits: a"},
		{"what is met is better than nothing", func(r *fakeregistry.Registry, _, _, b ocispec.Descriptor) {
			r.Attach(b, fakeregistry.Artifact{Attributes: avx2})
		}, "fits, fits: b"},
		{"the first revision's layer type", func(r *fakeregistry.Registry, _, _, b ocispec.Descriptor) {
			r.Attach(b, fakeregistry.Artifact{Attributes: avx2, LayerType: dialect.LayerTypeOutlineNFD})
		}, "fits, fits: b"},
		{"absent", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
		}, "does not fit, fits: b"},
		{"an unknown attribute ranks behind", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2 + "," + strange})
		}, "unknown, fits: b"},
		{"all unknown", func(r *fakeregistry.Registry, index, _, _ ocispec.Descriptor) {
			r.Attach(index, fakeregistry.Artifact{Attributes: strange})
		}, "unknown, unknown: a"},
		{"none fits", func(r *fakeregistry.Registry, _, a, b ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512})
			r.Attach(b, fakeregistry.Artifact{Attributes: `"kernel-version.major": 6, "kernel-version.minor": 8`})
		}, "does not fit, does not fit: none"},
		{"the newest counts", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(older)})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: oci(newer)})
		}, "does not fit, fits: b"},
		{"the newest counts, also when listed first", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: oci(newer)})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(older)})
		}, "does not fit, fits: b"},
		{"the newest counts in the proposals' spelling", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: misspelt(newer)})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: misspelt(older)})
		}, "does not fit, fits: b"},
		{"the newest counts where it asks for less", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			for i := range 8 { // so many that digests cannot have the order by chance
				r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: oci(fmt.Sprintf("2025-01-01T00:00:%02dZ", i))})
			}
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(newer)})
		}, "fits, fits: a"},
		{"the same in the proposals' spelling", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			for i := range 8 {
				r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: misspelt(fmt.Sprintf("2025-01-01T00:00:%02dZ", i))})
			}
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: misspelt(newer)})
		}, "fits, fits: a"},
		{"one with a time before one without", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: oci(older)})
		}, "does not fit, fits: b"},
		{"both revisions side by side hold", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Annotations: oci(older), LayerType: dialect.LayerTypeOutlineNFD})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(newer)})
		}, "does not fit, fits: b"},
		{"two bodies of one artifact hold", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) {
				m.Layers = append(m.Layers, r.Blob(dialect.LayerTypeOutline, `{"compatibilities":{"x":{`+avx512+`}}}`))
			}})
		}, "does not fit, fits: b"},
		{"what is said of the index holds for each", func(r *fakeregistry.Registry, index, _, _ ocispec.Descriptor) {
			r.Attach(index, fakeregistry.Artifact{Attributes: avx512})
		}, "does not fit, does not fit: none"},
		{"an entry's own goes before the index's", func(r *fakeregistry.Registry, index, _, b ocispec.Descriptor) {
			r.Attach(index, fakeregistry.Artifact{Attributes: avx512})
			r.Attach(b, fakeregistry.Artifact{Attributes: avx2})
		}, "does not fit, fits: b"},
		{"a registry that lists no type", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, ListedType: "none"})
		}, "does not fit, fits: b"},
		{"a registry that lists the config's type", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, ListedType: ocispec.MediaTypeEmptyJSON})
		}, "does not fit, fits: b"},
		{"an artifact of before OCI 1.1", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, Change: func(m *ocispec.Manifest) {
				m.ArtifactType, m.Config.MediaType = "", dialect.ArtifactType
			}})
		}, "does not fit, fits: b"},
		{"another kind of artifact", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx512, ListedType: "none", Change: func(m *ocispec.Manifest) {
				m.ArtifactType = "application/vnd.example.sbom"
			}})
		}, "fits, fits: a"},
		{"another kind of artifact that is broken", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.List(a, r.Manifest(ocispec.MediaTypeImageManifest, []byte("{")))
			r.List(a, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "nonsense", Size: 1})
		}, "fits, fits: a"},
		{"listed twice", func(r *fakeregistry.Registry, _, _, b ocispec.Descriptor) {
			r.List(b, r.Attach(b, fakeregistry.Artifact{Attributes: avx2}))
		}, "fits, fits: b"},
		{"a newer readable one makes up for one this version cannot read", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(older), LayerType: "application/vnd.example+json"})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(newer)})
		}, "fits, fits: a"},
		{"an older readable one does not", func(r *fakeregistry.Registry, _, a, _ ocispec.Descriptor) {
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(newer), LayerType: "application/vnd.example+json"})
			r.Attach(a, fakeregistry.Artifact{Attributes: avx2, Annotations: oci(older)})
		}, "unknown, fits: b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
			test.attach(r, r.Index("1", a, b), a, b)
			d := decide(t, newTestResolver(t, r, testkit.Node(3, "AVX2")), app)
			choice := map[int]string{0: "a", 1: "b", None: "none"}[d.Choice]
			if got := fmt.Sprintf("%s, %s: %s", d.Candidates[0].Outcome, d.Candidates[1].Outcome, choice); got != test.want {
				t.Errorf("got %s, want %s\n%s\n%+v", got, test.want, d.Reason, d.Candidates)
			}
		})
	}
}

// TestPolicyAnswersForABrokenArtifact gives the first of two entries an artifact that is broken
// in some way, and expects what each policy says of it.
func TestPolicyAnswersForABrokenArtifact(t *testing.T) {
	t.Parallel()
	put := func(r *fakeregistry.Registry, path, body string) {
		r.Serve(path, ocispec.MediaTypeImageManifest, []byte(body))
	}
	tests := []struct {
		name   string
		attach func(r *fakeregistry.Registry, image ocispec.Descriptor)
		reason string // part of it
	}{
		{"another subject", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Subject.Digest = digest.FromString("x") }})
		}, "its subject is not the manifest it was found under"},
		{"no subject", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Subject = nil }})
		}, "its subject is not"},
		{"another layer type", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, LayerType: "application/json"})
		}, "none of its layers has a media type this version reads"},
		{"no layer", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers = nil }})
		}, "none of its layers"},
		{"a layer without a digest", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers[0].Digest = "" }})
		}, "is not a sha256 digest"},
		{"a layer with a digest that is none", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers[0].Digest = "nonsense" }})
		}, `digest "nonsense" is not a sha256 digest`},
		{"a list entry with a digest that is none", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.List(image, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: dialect.ArtifactType, Digest: "nonsense", Size: 9})
		}, `digest "nonsense" is not a sha256 digest`},
		{"a body of another digest algorithm", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.SHA512.FromString("x") }})
		}, "is not a sha256 digest"},
		{"malformed body", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Body: `{"compatibilities": [`})
		}, "row 1, column"},
		{"malformed manifest", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			desc := r.Manifest(ocispec.MediaTypeImageManifest, []byte(`{"layers": 7}`))
			desc.ArtifactType = dialect.ArtifactType
			r.List(image, desc)
		}, "read manifest"},
		{"manifest of another digest", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			desc := r.Attach(image, fakeregistry.Artifact{Attributes: avx2})
			put(r, "manifests/"+desc.Digest.String(), strings.Repeat(" ", int(desc.Size)))
		}, "corrupt"},
		{"body of another digest", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			body := `{"compatibilities": {}}`
			r.Attach(image, fakeregistry.Artifact{Body: body})
			put(r, "blobs/"+digest.FromString(body).String(), strings.Repeat(" ", len(body)))
		}, "corrupt"},
		{"body gone", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Body: `{"compatibilities": {}}`})
			r.Remove("blobs/" + digest.FromString(`{"compatibilities": {}}`).String())
		}, "404"},
		{"manifest gone", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			desc := r.Attach(image, fakeregistry.Artifact{Attributes: avx2})
			r.Remove("manifests/" + desc.Digest.String())
		}, "404"},
		{"body too large", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Body: strings.Repeat(" ", maxBody+1)})
		}, "at most 4194304 are read"},
		{"body larger than it says", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers[0].Size-- }})
		}, "corrupt"},
		{"negative size", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }})
		}, "has size -1"},
		{"too many layers", func(r *fakeregistry.Registry, image ocispec.Descriptor) {
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2, Change: func(m *ocispec.Manifest) {
				for range referrers.MaxLayers {
					m.Layers = append(m.Layers, m.Layers[0])
				}
			}})
		}, "more than the 16 layers"},
	}
	policies := []struct {
		answer  string
		outcome string
		choice  int
	}{{policy.Unknown, "unknown", 1}, {policy.Ignore, "fits", 0}, {policy.Unfit, "does not fit", 1}}
	for _, test := range tests {
		for _, answers := range policies {
			t.Run(test.name+"/"+answers.answer, func(t *testing.T) {
				t.Parallel()
				r := newTestRegistry(t)
				a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
				r.Index("1", a, b)
				test.attach(r, a)
				resolver, log := newTestResolver(t, r, testkit.Node(3, "AVX2")), new(testkit.Log)
				resolver.log = log.Logger()
				change(resolver, func(r *Rules) { r.Policy.MalformedArtifact = answers.answer })
				d := decide(t, resolver, app)
				c := d.Candidates[0]
				if c.Outcome.String() != answers.outcome || d.Choice != answers.choice {
					t.Errorf("outcome %s, choice %d, want %s and %d: %s", c.Outcome, d.Choice, answers.outcome, answers.choice, d.Reason)
				}
				if answers.answer != policy.Ignore && !strings.Contains(c.Reason, test.reason) {
					t.Errorf("reason %q lacks %q", c.Reason, test.reason)
				}
				if n := log.Count("cannot read compatibility artifact"); n != 1 {
					t.Errorf("the log has %d lines about the artifact, want 1", n)
				}
			})
		}
	}
}

func TestPolicyAnswersForAnUnknownAttribute(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
	r.Index("1", a, b)
	r.Attach(a, fakeregistry.Artifact{Attributes: strange})
	for answer, want := range map[string]string{policy.Unknown: "unknown", policy.Ignore: "fits", policy.Unfit: "does not fit"} {
		resolver := newTestResolver(t, r, testkit.Node(1))
		change(resolver, func(r *Rules) { r.Policy.UnknownAttribute = answer })
		if d := decide(t, resolver, app); d.Candidates[0].Outcome.String() != want {
			t.Errorf("policy %s: %s, want %s", answer, d.Candidates[0].Outcome, want)
		}
	}
}

// TestAnUnreadableArtifactIsLoggedOnce has one broken artifact that holds for all entries, and decides
// again while nothing has changed.
func TestAnUnreadableArtifactIsLoggedOnce(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	index := r.Index("1", r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b"), r.Image("linux/amd64/v2", "c"))
	r.Attach(index, fakeregistry.Artifact{Body: "no JSON"})
	resolver, log := newTestResolver(t, r, testkit.Node(1)), new(testkit.Log)
	resolver.log = log.Logger()
	for n := range 2 {
		decide(t, resolver, app)
		if got := log.Count("cannot read compatibility artifact"); got != 1 {
			t.Errorf("after %d decisions the log has %d lines", n+1, got)
		}
	}
}
