package decision

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat"
)

func TestParseIndex(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x")
	entry := func(change func(e *ocispec.Descriptor)) ocispec.Descriptor {
		e := ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 1,
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"},
		}
		change(&e)
		return e
	}
	plain := entry(func(*ocispec.Descriptor) {})
	tests := []struct {
		name    string
		entries []ocispec.Descriptor
		want    int
		err     string
	}{
		{"none", nil, 0, ""},
		{"one", []ocispec.Descriptor{plain}, 1, ""},
		{"docker's media type", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.MediaType = compat.DockerManifest })}, 1, ""},
		{"attestation", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) {
			e.Annotations = map[string]string{attestation: "attestation-manifest"}
		})}, 1, ""},
		{"unknown platform", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) {
			e.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		})}, 1, ""},
		{"an artifact", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) { e.ArtifactType = "application/x" })}, 1, ""},
		{"another media type", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) { e.MediaType = "text/plain" })}, 1, ""},
		{"no platform", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) { e.Platform = nil })}, 0, "entry 1 of the index: states no platform"},
		{"nested", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.MediaType = ocispec.MediaTypeImageIndex })}, 0, "is an index itself"},
		{"no digest", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Digest = "" })}, 0, "is no sha256 digest"},
		{"a digest with a line end", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Digest = "a\nb" })}, 0, `"a\nb" is no sha256 digest`},
		{"sha512", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Digest = digest.SHA512.FromString("x") })}, 0, "is no sha256 digest"},
		{"no size", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Size = 0 })}, 0, "size is 0"},
		{"negative size", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Size = -1 })}, 0, "size is -1"},
		{"10,000 entries", make([]ocispec.Descriptor, 10_000), 0, "10000 entries, more than the 1000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(ocispec.Index{Manifests: test.entries})
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseIndex(body)
			checkError(t, err, test.err)
			if len(got) != test.want {
				t.Errorf("%d entries, want %d", len(got), test.want)
			}
		})
	}
}

func TestParseIndexBounds(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "null,", "[]", `{"manifests": {}}`,
		`{"manifests": [{"size": ` + strings.Repeat("9", 1<<20) + `}]}`,
		`{"manifests": [{"mediaType": "` + ocispec.MediaTypeImageManifest + `", "size": 1, "platform": {}, "digest": "` + strings.Repeat("x", 1<<20) + `"}]}`,
		strings.Repeat("[", 1<<20),
	} {
		if _, err := parseIndex([]byte(body)); err == nil {
			t.Errorf("%.40q: no error", body)
		} else if text := err.Error(); len(text) > 2*maxSentence || strings.Contains(text, "\n") {
			t.Errorf("%.40q: the error has %d bytes", body, len(text))
		}
	}
}

func TestDecideIndex(t *testing.T) {
	t.Parallel()
	many := func(r *testRegistry, n int) (entries []ocispec.Descriptor) {
		for range n {
			entries = append(entries, r.image("linux/amd64", "same"))
		}
		return entries
	}
	tests := []struct {
		name       string
		push       func(r *testRegistry)
		candidates int
		choice     string
		reason     string // why it is left to the runtime
	}{
		{"empty", func(r *testRegistry) { r.index("1") }, 0, "none", ""},
		{"docker manifest list", func(r *testRegistry) {
			r.manifest(dockerList, ocispec.Index{MediaType: dockerList, Manifests: []ocispec.Descriptor{
				r.image("linux/amd64", "a"), r.image("linux/amd64/v3", "b"),
			}}, "1")
		}, 2, "linux/amd64/v3", ""},
		{"two of one platform", func(r *testRegistry) {
			r.index("1", r.image("linux/amd64/v3", "a"), r.image("linux/amd64/v3", "b"))
		}, 2, "linux/amd64/v3@sha256:", ""},
		{"nested", func(r *testRegistry) {
			r.index("1", r.image("linux/amd64", "a"), r.index("inner", r.image("linux/amd64/v3", "b")))
		}, 0, "none", "is an index itself"},
		{"1,000 entries", func(r *testRegistry) {
			r.index("1", append(many(r, 2), make([]ocispec.Descriptor, 998)...)...)
		}, 2, "linux/amd64@sha256:", ""},
		{"too many candidates", func(r *testRegistry) { r.index("1", many(r, maxCandidates+1)...) }, 0, "none", "257 entries for this node"},
		{"10,000 entries", func(r *testRegistry) { r.index("1", make([]ocispec.Descriptor, 10_000)...) }, 0, "none", "10000 entries"},
		{"no JSON", func(r *testRegistry) { r.manifest(ocispec.MediaTypeImageIndex, []byte("<html>"), "1") }, 0, "none", "read index"},
		{"too large", func(r *testRegistry) {
			r.manifest(ocispec.MediaTypeImageIndex, []byte(`{"manifests":[]}`+strings.Repeat(" ", maxBody)), "1")
		}, 0, "none", "is not within 4194304 bytes"},
		{"neither index nor image", func(r *testRegistry) { r.manifest("application/vnd.example+json", []byte("{}"), "1") }, 0, "none", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			test.push(r)
			d, err := decideAs(t.Context(), newTestResolver(t, r, levelFacts(3)), app)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(d.Reason, test.reason) {
				t.Errorf("reason %q, want one with %q", d.Reason, test.reason)
			}
			if len(d.Candidates) != test.candidates || !strings.HasPrefix(chosen(d), test.choice) || d.NothingToChoose() != (test.candidates == 0) {
				t.Errorf("%d candidates, chose %s, want %d and %s: %s", len(d.Candidates), chosen(d), test.candidates, test.choice, d.Reason)
			}
		})
	}
}

func TestDecideSingleImage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		attributes string
		refused    bool
		reason     string
	}{
		{"no artifact", "", false, app + " is a single image that fits"},
		{"fits", avx2, false, app + " is a single image that fits"},
		{"does not fit", avx512, true, app + " does not fit this node: it needs cpu.cpuid AVX512F (absent)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			image := r.image("linux/amd64", "single", "1")
			if test.attributes != "" {
				r.attach(image, artifact{attributes: test.attributes})
			}
			d := decide(t, newTestResolver(t, r, levelFacts(3, "AVX2")), app)
			if d.Refused() != test.refused || d.AsRuntime() == test.refused || d.Reason != test.reason || d.Index != "" {
				t.Errorf("refused %t, as runtime %t, reason %q, want %q", d.Refused(), d.AsRuntime(), d.Reason, test.reason)
			}
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil {
		t.Fatalf("error %v", err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Fatalf("error %v, want one with %q", err, want)
	}
}
