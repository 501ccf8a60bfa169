package index_test

import (
	_ "crypto/sha512" // so that such digests are valid, and still refused
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry/index"
)

// images reads the images of an index.
func images(body []byte) ([]index.Entry, error) {
	entries, err := index.Parse(body)
	if err != nil {
		return nil, err
	}
	return index.Images(entries)
}

func TestImagesOfAnIndexAreToldFromOtherEntries(t *testing.T) {
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
		{"docker's media type", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.MediaType = index.DockerManifest })}, 1, ""},
		{"attestation", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) {
			e.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		})}, 1, ""},
		{"unknown platform", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) {
			e.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		})}, 1, ""},
		{"an artifact", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) { e.ArtifactType = "application/x" })}, 1, ""},
		{"another media type", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) { e.MediaType = "text/plain" })}, 1, ""},
		{"no platform", []ocispec.Descriptor{plain, entry(func(e *ocispec.Descriptor) { e.Platform = nil })}, 0, "entry 1 of the index: states no platform"},
		{"nested", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.MediaType = ocispec.MediaTypeImageIndex })}, 0, "is an index itself"},
		{"no digest", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Digest = "" })}, 0, "is not a sha256 digest"},
		{"a digest with a line end", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Digest = "a\nb" })}, 0, `"a\nb" is not a sha256 digest`},
		{"sha512", []ocispec.Descriptor{entry(func(e *ocispec.Descriptor) { e.Digest = digest.SHA512.FromString("x") })}, 0, "is not a sha256 digest"},
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
			got, err := images(body)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if len(got) != test.want {
				t.Errorf("%d entries, want %d", len(got), test.want)
			}
		})
	}
}

func TestErrorsAboutAnIndexAreShort(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "null,", "[]", `{"manifests": {}}`,
		`{"manifests": [{"size": ` + strings.Repeat("9", 1<<20) + `}]}`,
		`{"manifests": [{"mediaType": "` + ocispec.MediaTypeImageManifest + `", "size": 1, "platform": {}, "digest": "` + strings.Repeat("x", 1<<20) + `"}]}`,
		strings.Repeat("[", 1<<20),
	} {
		if _, err := images([]byte(body)); err == nil {
			t.Errorf("%.40q: no error", body)
		} else if text := err.Error(); len(text) > 1000 || strings.Contains(text, "\n") {
			t.Errorf("%.40q: the error has %d bytes", body, len(text))
		}
	}
}
