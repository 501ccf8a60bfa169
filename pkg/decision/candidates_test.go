package decision

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

func TestIndexesOfEveryShapeAreDecidedOrLeftToTheRuntime(t *testing.T) {
	t.Parallel()
	many := func(r *fakeregistry.Registry, n int) (entries []ocispec.Descriptor) {
		for range n {
			entries = append(entries, r.Image("linux/amd64", "same"))
		}
		return entries
	}
	tests := []struct {
		name       string
		push       func(r *fakeregistry.Registry)
		candidates int
		choice     string
		reason     string // why it is left to the runtime
	}{
		{"empty", func(r *fakeregistry.Registry) { r.Index("1") }, 0, "none", "is an index without entries"},
		{"docker manifest list", func(r *fakeregistry.Registry) {
			r.Manifest(index.DockerList, ocispec.Index{MediaType: index.DockerList, Manifests: []ocispec.Descriptor{
				r.Image("linux/amd64", "a"), r.Image("linux/amd64/v3", "b"),
			}}, "1")
		}, 2, "linux/amd64/v3", ""},
		{"two of one platform", func(r *fakeregistry.Registry) {
			r.Index("1", r.Image("linux/amd64/v3", "a"), r.Image("linux/amd64/v3", "b"))
		}, 2, "linux/amd64/v3@sha256:", ""},
		{"nested", func(r *fakeregistry.Registry) {
			r.Index("1", r.Image("linux/amd64", "a"), r.Index("inner", r.Image("linux/amd64/v3", "b")))
		}, 2, "linux/amd64/v3", ""},
		{"1,000 entries", func(r *fakeregistry.Registry) {
			r.Index("1", append(many(r, 2), make([]ocispec.Descriptor, 998)...)...)
		}, 2, "linux/amd64@sha256:", ""},
		{"too many candidates", func(r *fakeregistry.Registry) { r.Index("1", many(r, maxCandidates+1)...) }, 0, "none", "257 entries for this node"},
		{"10,000 entries", func(r *fakeregistry.Registry) { r.Index("1", make([]ocispec.Descriptor, 10_000)...) }, 0, "none", "more than the 1000 entries"},
		{"no JSON", func(r *fakeregistry.Registry) { r.Manifest(ocispec.MediaTypeImageIndex, []byte("<html>"), "1") }, 0, "none", "read index"},
		{"too large", func(r *fakeregistry.Registry) {
			r.Manifest(ocispec.MediaTypeImageIndex, []byte(`{"manifests":[]}`+strings.Repeat(" ", maxBody)), "1")
		}, 0, "none", "at most 4194304 are read"},
		{"neither index nor image", func(r *fakeregistry.Registry) { r.Manifest("application/vnd.example+json", []byte("{}"), "1") }, 0, "none", "media type application/vnd.example+json is neither an index nor an image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			test.push(r)
			d, err := decideAs(t.Context(), newTestResolver(t, r, testkit.Node(3)), app)
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

func TestASingleImageFitsOrIsRefused(t *testing.T) {
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
			image := r.Image("linux/amd64", "single", "1")
			if test.attributes != "" {
				r.Attach(image, fakeregistry.Artifact{Attributes: test.attributes})
			}
			d := decide(t, newTestResolver(t, r, testkit.Node(3, "AVX2")), app)
			if d.Refused() != test.refused || d.AsRuntime() == test.refused || d.Reason != test.reason || d.Index != "" {
				t.Errorf("refused %t, as runtime %t, reason %q, want %q", d.Refused(), d.AsRuntime(), d.Reason, test.reason)
			}
		})
	}
}
