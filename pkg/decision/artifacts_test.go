package decision

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
		attach func(r *testRegistry, index, a, b ocispec.Descriptor)
		want   string // the outcomes of a and b, and the choice
	}{
		{"none", func(*testRegistry, ocispec.Descriptor, ocispec.Descriptor, ocispec.Descriptor) {},
			"fits, fits: a"},
		{"what is met is better than nothing", func(r *testRegistry, _, _, b ocispec.Descriptor) {
			r.attach(b, artifact{attributes: avx2})
		}, "fits, fits: b"},
		{"the first revision's layer type", func(r *testRegistry, _, _, b ocispec.Descriptor) {
			r.attach(b, artifact{attributes: avx2, layerType: dialect.LayerTypeOutlineNFD})
		}, "fits, fits: b"},
		{"absent", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512})
		}, "does not fit, fits: b"},
		{"an unknown attribute ranks behind", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx2 + "," + strange})
		}, "unknown, fits: b"},
		{"all unknown", func(r *testRegistry, index, _, _ ocispec.Descriptor) {
			r.attach(index, artifact{attributes: strange})
		}, "unknown, unknown: a"},
		{"none fits", func(r *testRegistry, _, a, b ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512})
			r.attach(b, artifact{attributes: `"kernel-version.major": 6, "kernel-version.minor": 8`})
		}, "does not fit, does not fit: none"},
		{"the newest counts", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx2, annotations: oci(older)})
			r.attach(a, artifact{attributes: avx512, annotations: oci(newer)})
		}, "does not fit, fits: b"},
		{"the newest counts, also when listed first", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, annotations: oci(newer)})
			r.attach(a, artifact{attributes: avx2, annotations: oci(older)})
		}, "does not fit, fits: b"},
		{"the newest counts in the proposals' spelling", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, annotations: misspelt(newer)})
			r.attach(a, artifact{attributes: avx2, annotations: misspelt(older)})
		}, "does not fit, fits: b"},
		{"the newest counts where it asks for less", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			for i := range 8 { // so many that digests cannot have the order by chance
				r.attach(a, artifact{attributes: avx512, annotations: oci(fmt.Sprintf("2025-01-01T00:00:%02dZ", i))})
			}
			r.attach(a, artifact{attributes: avx2, annotations: oci(newer)})
		}, "fits, fits: a"},
		{"the same in the proposals' spelling", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			for i := range 8 {
				r.attach(a, artifact{attributes: avx512, annotations: misspelt(fmt.Sprintf("2025-01-01T00:00:%02dZ", i))})
			}
			r.attach(a, artifact{attributes: avx2, annotations: misspelt(newer)})
		}, "fits, fits: a"},
		{"one with a time before one without", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx2})
			r.attach(a, artifact{attributes: avx512, annotations: oci(older)})
		}, "does not fit, fits: b"},
		{"both revisions side by side hold", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, annotations: oci(older), layerType: dialect.LayerTypeOutlineNFD})
			r.attach(a, artifact{attributes: avx2, annotations: oci(newer)})
		}, "does not fit, fits: b"},
		{"two bodies of one artifact hold", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx2, change: func(m *ocispec.Manifest) {
				m.Layers = append(m.Layers, r.blob(dialect.LayerTypeOutline, `{"compatibilities":{"x":{`+avx512+`}}}`))
			}})
		}, "does not fit, fits: b"},
		{"what is said of the index holds for each", func(r *testRegistry, index, _, _ ocispec.Descriptor) {
			r.attach(index, artifact{attributes: avx512})
		}, "does not fit, does not fit: none"},
		{"an entry's own goes before the index's", func(r *testRegistry, index, _, b ocispec.Descriptor) {
			r.attach(index, artifact{attributes: avx512})
			r.attach(b, artifact{attributes: avx2})
		}, "does not fit, fits: b"},
		{"a registry that lists no type", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, listedType: "none"})
		}, "does not fit, fits: b"},
		{"a registry that lists the config's type", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, listedType: ocispec.MediaTypeEmptyJSON})
		}, "does not fit, fits: b"},
		{"an artifact of before OCI 1.1", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, change: func(m *ocispec.Manifest) {
				m.ArtifactType, m.Config.MediaType = "", dialect.ArtifactType
			}})
		}, "does not fit, fits: b"},
		{"another kind of artifact", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx512, listedType: "none", change: func(m *ocispec.Manifest) {
				m.ArtifactType = "application/vnd.example.sbom"
			}})
		}, "fits, fits: a"},
		{"another kind of artifact that is broken", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.list(a, r.manifest(ocispec.MediaTypeImageManifest, []byte("{")))
			r.list(a, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "nonsense", Size: 1})
		}, "fits, fits: a"},
		{"listed twice", func(r *testRegistry, _, _, b ocispec.Descriptor) {
			r.list(b, r.attach(b, artifact{attributes: avx2}))
		}, "fits, fits: b"},
		{"a newer readable one makes up for one this version cannot read", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx2, annotations: oci(older), layerType: "application/vnd.example+json"})
			r.attach(a, artifact{attributes: avx2, annotations: oci(newer)})
		}, "fits, fits: a"},
		{"an older readable one does not", func(r *testRegistry, _, a, _ ocispec.Descriptor) {
			r.attach(a, artifact{attributes: avx2, annotations: oci(newer), layerType: "application/vnd.example+json"})
			r.attach(a, artifact{attributes: avx2, annotations: oci(older)})
		}, "unknown, fits: b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			a, b := r.image("linux/amd64", "a"), r.image("linux/amd64", "b")
			test.attach(r, r.index("1", a, b), a, b)
			d := decide(t, newTestResolver(t, r, levelFacts(3, "AVX2")), app)
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
	drop := func(r *testRegistry, path string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.contents, path)
	}
	put := func(r *testRegistry, path, body string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.contents[path] = content{ocispec.MediaTypeImageManifest, []byte(body)}
	}
	tests := []struct {
		name   string
		attach func(r *testRegistry, image ocispec.Descriptor)
		reason string // part of it
	}{
		{"another subject", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Subject.Digest = digest.FromString("x") }})
		}, "its subject is not the manifest it was found under"},
		{"no subject", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Subject = nil }})
		}, "its subject is not"},
		{"another layer type", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, layerType: "application/json"})
		}, "none of its layers has a media type this version reads"},
		{"no layer", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Layers = nil }})
		}, "none of its layers"},
		{"a layer without a digest", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Layers[0].Digest = "" }})
		}, "is not a sha256 digest"},
		{"a layer with a digest that is none", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Layers[0].Digest = "nonsense" }})
		}, `digest "nonsense" is not a sha256 digest`},
		{"a list entry with a digest that is none", func(r *testRegistry, image ocispec.Descriptor) {
			r.list(image, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: dialect.ArtifactType, Digest: "nonsense", Size: 9})
		}, `digest "nonsense" is not a sha256 digest`},
		{"a body of another digest algorithm", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.SHA512.FromString("x") }})
		}, "is not a sha256 digest"},
		{"malformed body", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{body: `{"compatibilities": [`})
		}, "row 1, column"},
		{"malformed manifest", func(r *testRegistry, image ocispec.Descriptor) {
			desc := r.manifest(ocispec.MediaTypeImageManifest, []byte(`{"layers": 7}`))
			desc.ArtifactType = dialect.ArtifactType
			r.list(image, desc)
		}, "read artifact manifest"},
		{"manifest of another digest", func(r *testRegistry, image ocispec.Descriptor) {
			desc := r.attach(image, artifact{attributes: avx2})
			put(r, "manifests/"+desc.Digest.String(), strings.Repeat(" ", int(desc.Size)))
		}, "corrupt"},
		{"body of another digest", func(r *testRegistry, image ocispec.Descriptor) {
			body := `{"compatibilities": {}}`
			r.attach(image, artifact{body: body})
			put(r, "blobs/"+digest.FromString(body).String(), strings.Repeat(" ", len(body)))
		}, "corrupt"},
		{"body gone", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{body: `{"compatibilities": {}}`})
			drop(r, "blobs/"+digest.FromString(`{"compatibilities": {}}`).String())
		}, "404"},
		{"manifest gone", func(r *testRegistry, image ocispec.Descriptor) {
			desc := r.attach(image, artifact{attributes: avx2})
			drop(r, "manifests/"+desc.Digest.String())
		}, "404"},
		{"body too large", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{body: strings.Repeat(" ", maxBody+1)})
		}, "at most 4194304 are read"},
		{"body larger than it says", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Layers[0].Size-- }})
		}, "corrupt"},
		{"negative size", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }})
		}, "has size -1"},
		{"too many layers", func(r *testRegistry, image ocispec.Descriptor) {
			r.attach(image, artifact{attributes: avx2, change: func(m *ocispec.Manifest) {
				for range referrers.MaxLayers {
					m.Layers = append(m.Layers, m.Layers[0])
				}
			}})
		}, "17 layers"},
	}
	policies := []struct {
		answer  string
		outcome string
		choice  int
	}{{policy.Unknown, "unknown", 1}, {policy.Ignore, "fits", 0}, {policy.Unfit, "does not fit", 1}}
	for _, test := range tests {
		for _, answers := range policies {
			t.Run(test.name+"/"+string(answers.answer), func(t *testing.T) {
				t.Parallel()
				r := newTestRegistry(t)
				a, b := r.image("linux/amd64", "a"), r.image("linux/amd64", "b")
				r.index("1", a, b)
				test.attach(r, a)
				resolver, log := newTestResolver(t, r, levelFacts(3, "AVX2")), new(lines)
				resolver.log = log.logger()
				change(resolver, func(r *Rules) { r.Policy.MalformedArtifact = answers.answer })
				d := decide(t, resolver, app)
				c := d.Candidates[0]
				if c.Outcome.String() != answers.outcome || d.Choice != answers.choice {
					t.Errorf("outcome %s, choice %d, want %s and %d: %s", c.Outcome, d.Choice, answers.outcome, answers.choice, d.Reason)
				}
				if answers.answer != policy.Ignore && !strings.Contains(c.Reason, test.reason) {
					t.Errorf("reason %q lacks %q", c.Reason, test.reason)
				}
				if n := log.count("cannot read compatibility artifact"); n != 1 {
					t.Errorf("the log has %d lines about the artifact, want 1", n)
				}
			})
		}
	}
}

func TestPolicyAnswersForAnUnknownAttribute(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	a, b := r.image("linux/amd64", "a"), r.image("linux/amd64", "b")
	r.index("1", a, b)
	r.attach(a, artifact{attributes: strange})
	for answer, want := range map[string]string{policy.Unknown: "unknown", policy.Ignore: "fits", policy.Unfit: "does not fit"} {
		resolver := newTestResolver(t, r, levelFacts(1))
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
	index := r.index("1", r.image("linux/amd64", "a"), r.image("linux/amd64", "b"), r.image("linux/amd64/v2", "c"))
	r.attach(index, artifact{body: "no JSON"})
	resolver, log := newTestResolver(t, r, levelFacts(1)), new(lines)
	resolver.log = log.logger()
	for n := range 2 {
		decide(t, resolver, app)
		if got := log.count("cannot read compatibility artifact"); got != 1 {
			t.Errorf("after %d decisions the log has %d lines", n+1, got)
		}
	}
}
