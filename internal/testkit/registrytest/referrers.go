package registrytest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// compatibilityType is the artifact type that is looked for.
const compatibilityType = "application/vnd.oci.image-compatibility.v1"

// tagOf is the tag of the referrers tag schema for a digest.
func tagOf(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// attach stores an artifact about the subject.
func (c client) attach(t *testing.T, subject ocispec.Descriptor, artifactType string) ocispec.Descriptor {
	t.Helper()
	c.PutBlob(t, ocispec.DescriptorEmptyJSON.Data)
	layer := c.blob(t, "application/vnd.oci.image-compatibility.spec.v1+json", `{"of": "`+artifactType+`"}`)
	subject.Platform = nil
	desc, _ := c.put(t, "", ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer}, Subject: &subject,
		Annotations: map[string]string{"example.org/type": artifactType},
	})
	return desc
}

// list reads a list of referrers.
func list(t *testing.T, what string, got answer) []ocispec.Descriptor {
	t.Helper()
	var found struct {
		SchemaVersion int
		MediaType     string
		Manifests     []ocispec.Descriptor // null in some registries
	}
	err := json.Unmarshal(got.body, &found)
	if got.status != http.StatusOK || err != nil || found.SchemaVersion != 2 {
		t.Fatalf("%s: %d with %q (%v), want 200 with an index", what, got.status, got.body, err)
	}
	if got.header.Get("Content-Type") != ocispec.MediaTypeImageIndex || found.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("%s: the list is a %q, its body a %q", what, got.header.Get("Content-Type"), found.MediaType)
	}
	return found.Manifests
}

func referrers(t *testing.T, c client) {
	subject, _ := c.image(t, "1", "a")
	other, _ := c.image(t, "2", "b")
	want := map[digest.Digest]string{}
	for _, artifactType := range []string{compatibilityType, "application/vnd.example.sbom"} {
		want[c.attach(t, subject, artifactType).Digest] = artifactType
	}
	c.attach(t, other, compatibilityType)
	found := list(t, "referrers", c.ask(t, http.MethodGet, "referrers/"+subject.Digest.String()))
	for _, desc := range found {
		artifactType, ok := want[desc.Digest]
		if !ok || desc.ArtifactType != artifactType || desc.Annotations["example.org/type"] != artifactType ||
			desc.MediaType != ocispec.MediaTypeImageManifest || desc.Size == 0 {
			t.Errorf("the list has %+v, want it of type %q", desc, artifactType)
		}
		delete(want, desc.Digest)
	}
	if len(want) > 0 {
		t.Errorf("the list lacks %v", want)
	}
}

func unreferred(t *testing.T, c client) {
	image, _ := c.image(t, "1", "a")
	for _, d := range []digest.Digest{image.Digest, missing()} {
		if found := list(t, "referrers", c.ask(t, http.MethodGet, "referrers/"+d.String())); len(found) > 0 {
			t.Errorf("the list of %s has %v", d, found)
		}
	}
}

func filtered(t *testing.T, c client) {
	subject, _ := c.image(t, "1", "a")
	wanted := c.attach(t, subject, compatibilityType)
	c.attach(t, subject, "application/vnd.example.sbom")
	got := c.ask(t, http.MethodGet, "referrers/"+subject.Digest.String()+"?artifactType="+url.QueryEscape(compatibilityType))
	found := list(t, "filtered", got)
	if !slices.ContainsFunc(found, func(desc ocispec.Descriptor) bool { return desc.Digest == wanted.Digest }) {
		t.Errorf("the list lacks what was asked for: %v", found)
	}
	applied := got.header.Get("OCI-Filters-Applied") == "artifactType"
	if applied != (len(found) == 1) {
		t.Errorf("%d of 2 came, with OCI-Filters-Applied %q", len(found), got.header.Get("OCI-Filters-Applied"))
	}
}

func fallback(t *testing.T, c client) {
	subject, _ := c.image(t, "1", "a")
	artifact := c.attach(t, subject, compatibilityType)
	if got := c.ask(t, http.MethodGet, "referrers/"+subject.Digest.String()); got.status != http.StatusNotFound {
		t.Errorf("GET referrers: %d, want 404", got.status)
	}
	tag := tagOf(subject.Digest) // of which clients that push artifacts take care
	artifact.ArtifactType = compatibilityType
	desc, body := c.put(t, tag, ocispec.MediaTypeImageIndex, index(artifact))
	wantContent(t, "GET the tag", c.ask(t, http.MethodGet, "manifests/"+tag), desc, body)
}
