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

func TestEntriesAreToldApart(t *testing.T) {
	t.Parallel()
	entry := func(change func(e *ocispec.Descriptor)) ocispec.Descriptor {
		e := ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1,
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"},
		}
		change(&e)
		return e
	}
	tests := []struct {
		name   string
		change func(e *ocispec.Descriptor)
		kind   index.Kind
		why    string
	}{
		{"plain", func(*ocispec.Descriptor) {}, index.Image, ""},
		{"docker's media type", func(e *ocispec.Descriptor) { e.MediaType = index.DockerManifest }, index.Image, ""},
		{"artifactType of an image config", func(e *ocispec.Descriptor) { e.ArtifactType = ocispec.MediaTypeImageConfig }, index.Image, ""},
		{"artifactType of docker's image config", func(e *ocispec.Descriptor) {
			e.ArtifactType = "application/vnd.docker.container.image.v1+json"
		}, index.Image, ""},
		{"artifactType of an old image config", func(e *ocispec.Descriptor) { e.ArtifactType = "application/octet-stream" }, index.Image, ""},
		{"an artifact", func(e *ocispec.Descriptor) { e.ArtifactType = "application/x" }, index.Other, "artifact of type application/x"},
		{"a chart", func(e *ocispec.Descriptor) { e.ArtifactType = "application/vnd.cncf.helm.config.v1+json" }, index.Other, "artifact of type application/vnd.cncf.helm.config.v1+json"},
		{"attestation", func(e *ocispec.Descriptor) {
			e.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		}, index.Other, "attestation"},
		{"unknown platform", func(e *ocispec.Descriptor) {
			e.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		}, index.Other, "platform unknown/unknown"},
		{"another media type", func(e *ocispec.Descriptor) { e.MediaType = "text/plain" }, index.Other, "media type text/plain"},
		{"no platform", func(e *ocispec.Descriptor) { e.Platform = nil }, index.Unstated, ""},
		{"an empty platform", func(e *ocispec.Descriptor) { e.Platform = new(ocispec.Platform) }, index.Unstated, ""},
		{"nested", func(e *ocispec.Descriptor) { e.MediaType = ocispec.MediaTypeImageIndex }, index.Nested, ""},
		{"docker's list, nested", func(e *ocispec.Descriptor) { e.MediaType, e.Platform = index.DockerList, nil }, index.Nested, ""},
		{"an artifact of several", func(e *ocispec.Descriptor) {
			e.MediaType, e.ArtifactType = ocispec.MediaTypeImageIndex, "application/x"
		}, index.Other, "artifact of type application/x"},
		{"no digest", func(e *ocispec.Descriptor) { e.Digest = "" }, index.Other, "is not a sha256 digest"},
		{"a digest with a line end", func(e *ocispec.Descriptor) { e.Digest = "a\nb" }, index.Other, `"a\nb" is not a sha256 digest`},
		{"sha512", func(e *ocispec.Descriptor) { e.Digest = digest.SHA512.FromString("x") }, index.Other, "is not a sha256 digest"},
		{"no size", func(e *ocispec.Descriptor) { e.Size = 0 }, index.Other, "size is 0"},
		{"negative size", func(e *ocispec.Descriptor) { e.Size = -1 }, index.Other, "size is -1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{entry(test.change)}})
			if err != nil {
				t.Fatal(err)
			}
			entries, err := index.Parse(body)
			if err != nil || len(entries) != 1 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			kind, why := entries[0].Kind()
			if kind != test.kind || !strings.Contains(why, test.why) || (why == "") != (test.why == "") {
				t.Errorf("kind %d, %q, want %d, %q", kind, why, test.kind, test.why)
			}
			if subject := entries[0].IsSubject(); subject != (kind != index.Other) {
				t.Errorf("a subject: %t", subject)
			}
		})
	}
}

func TestAnIndexOfTooManyEntriesIsNotRead(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(ocispec.Index{Manifests: make([]ocispec.Descriptor, 10_000)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := index.Parse(body); err == nil || !strings.Contains(err.Error(), "more than the 1000 entries") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsAboutAnIndexAreShort(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "null,", "[]", `{"manifests": {}}`,
		`{"manifests": [{"size": ` + strings.Repeat("9", 1<<20) + `}]}`,
		strings.Repeat("[", 1<<20),
	} {
		if _, err := index.Parse([]byte(body)); err == nil {
			t.Errorf("%.40q: no error", body)
		} else if text := err.Error(); len(text) > 1000 || strings.Contains(text, "\n") {
			t.Errorf("%.40q: the error has %d bytes", body, len(text))
		}
	}
}

func TestReasonsAboutAnEntryAreShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x\n", 1<<20)
	for _, e := range []ocispec.Descriptor{
		{Digest: digest.Digest(long)},
		{Digest: digest.FromString("x"), Size: 1, ArtifactType: long},
		{Digest: digest.FromString("x"), Size: 1, MediaType: long},
		{Digest: digest.FromString("x"), Size: 1, MediaType: ocispec.MediaTypeImageManifest, Platform: &ocispec.Platform{OS: "unknown", Architecture: long}},
	} {
		if kind, why := (index.Entry{Descriptor: e}).Kind(); kind != index.Other || len(why) > 1000 || strings.Contains(why, "\n") {
			t.Errorf("kind %d, %d bytes", kind, len(why))
		}
	}
}
