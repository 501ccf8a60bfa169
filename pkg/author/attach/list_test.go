package attach_test

import (
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// artifact stores a referrer of a subject, changed as a case has it.
func artifact(s *fakeregistry.Registry, subject ocispec.Descriptor, body string, change func(*ocispec.Manifest)) ocispec.Descriptor {
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: dialect.ArtifactType, Config: s.Blob("application/vnd.oci.empty.v1+json", "{}"),
		Layers:      []ocispec.Descriptor{s.Blob(dialect.LayerTypeOutline, body)},
		Subject:     &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{"org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
	}
	if change != nil {
		change(&m)
	}
	return s.Manifest(ocispec.MediaTypeImageManifest, m)
}

func TestListShowsTheArtifactsOfIndexAndEntries(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{Strict: true})
	twoImages(s)
	c := newClient(t, s, nil)
	index, entry := c.subject("", attach.None), c.subject("linux/amd64", attach.None)
	of := c.pushed(outline, index, noon()).Descriptor.Digest
	older := c.pushed(nfd, entry, noon()).Descriptor.Digest
	newer := c.pushed(nfd, entry, noon().Add(time.Hour)).Descriptor.Digest
	artifact(s, entry.Descriptor, "{}", func(m *ocispec.Manifest) { m.ArtifactType = "application/x-sbom" })

	got, err := attach.List(t.Context(), c.repo, c.image(), c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != index.Descriptor.Digest || got.OtherEntries != 1 || len(got.Entries) != 2 || len(got.Artifacts) != 1 || got.Artifacts[0].Digest != of {
		t.Errorf("index: %+v", got)
	}
	a, b := got.Entries[0], got.Entries[1]
	if a.Entry != 0 || a.Platform != "linux/amd64" || a.OtherReferrers != 1 || len(a.Artifacts) != 2 {
		t.Fatalf("entry 0: %+v", a)
	}
	if b.Entry != 2 || b.Platform != "linux/amd64/v3" || len(b.Artifacts) != 0 || b.OtherReferrers != 0 {
		t.Errorf("entry 2: %+v", b)
	}
	first, second := a.Artifacts[0], a.Artifacts[1]
	if first.Digest != newer || !first.Counts || first.Dialect != "nfd-v1alpha1" || !first.Created.Equal(noon().Add(time.Hour)) {
		t.Errorf("first: %+v", first)
	}
	if second.Digest != older || second.Counts {
		t.Errorf("second: %+v", second)
	}
}

func TestListShowsWhatIsWrongWithAnArtifact(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body    string
		change  func(*ocispec.Manifest)
		problem string
		counts  bool
	}{
		"good": {body: outline, counts: true},
		"misspelt time": {outline, func(m *ocispec.Manifest) {
			m.Annotations = map[string]string{"oci.opencontainers.image.created": "2026-01-01T00:00:00Z"}
		}, "", true},
		"broken body": {"{", nil, "row 1", true},
		"other layer": {outline, func(m *ocispec.Manifest) { m.Layers[0].MediaType = "a/b" }, "none of its layers", true},
		"no layer":    {outline, func(m *ocispec.Manifest) { m.Layers = m.Layers[:0] }, "none of its layers", true},
		"missing layer": {outline, func(m *ocispec.Manifest) {
			m.Layers[0].Digest = "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		}, "404", true},
		"size is a lie":  {outline, func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 40 }, "too large", true},
		"control in one": {outline, func(m *ocispec.Manifest) { m.Layers[0].MediaType = "a/\x1b[2J" }, "none of its layers", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeregistry.New(t, fakeregistry.Options{})
			image := s.Image("linux/amd64", "1", "1")
			artifact(s, image, tt.body, tt.change)
			c := newClient(t, s, nil)
			got := c.attached(attach.Subject{Descriptor: image, Entry: attach.None}).Artifacts
			if len(got) != 1 {
				t.Fatalf("got %+v", got)
			}
			if !strings.Contains(got[0].Problem, tt.problem) || (got[0].Problem == "") != (tt.problem == "") || got[0].Counts != tt.counts {
				t.Errorf("got %+v", got[0])
			}
			if got[0].Created == nil || strings.Contains(got[0].LayerType, "\x1b") {
				t.Errorf("got %+v", got[0])
			}
		})
	}
}

// What a pull cannot read makes it unsure, until something newer can be read.
func TestAnUnreadableArtifactIsUsedUntilANewerOneCanBeRead(t *testing.T) {
	t.Parallel()
	odd := func(year string) func(*ocispec.Manifest) {
		return func(m *ocispec.Manifest) {
			m.Layers[0].MediaType = "a/b"
			m.Annotations["org.opencontainers.image.created"] = year + "-01-01T00:00:00Z"
		}
	}
	for year, counts := range map[string]bool{"2025": false, "2026": true, "2027": true} {
		s := fakeregistry.New(t, fakeregistry.Options{})
		image := s.Image("linux/amd64", "1", "1")
		good := artifact(s, image, outline, nil)
		artifact(s, image, outline, odd(year))
		for _, a := range newClient(t, s, nil).attached(attach.Subject{Descriptor: image, Entry: attach.None}).Artifacts {
			if want := a.Digest == good.Digest || counts; a.Counts != want {
				t.Errorf("%s: %+v", year, a)
			}
		}
	}
}

// A list of referrers under a tag can name anything.
func TestAnArtifactOfAnotherSubjectIsAProblem(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{Strict: true, NoReferrersAPI: true})
	image, other := s.Image("linux/amd64", "1", "1"), s.Image("linux/arm64", "2", "2")
	foreign := artifact(s, other, outline, nil)
	foreign.ArtifactType = dialect.ArtifactType
	s.Index(strings.Replace(image.Digest.String(), ":", "-", 1), foreign, foreign)
	got := newClient(t, s, nil).attached(attach.Subject{Descriptor: image, Entry: attach.None}).Artifacts
	if len(got) != 1 || !strings.Contains(got[0].Problem, "its subject is not") {
		t.Errorf("got %+v", got)
	}
}

// One that has bodies of several types is not deleted for the sake of one.
func TestAnArtifactWithBodiesOfSeveralTypesIsKept(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{Strict: true})
	image := s.Image("linux/amd64", "1", "1")
	artifact(s, image, outline, func(m *ocispec.Manifest) {
		m.Layers = append(m.Layers, s.Blob(dialect.LayerTypeOutlineNFD, outline+" "))
	})
	lone := artifact(s, image, outline, nil)
	h := newClient(t, s, nil).attached(attach.Subject{Descriptor: image, Entry: attach.None})
	if len(h.Artifacts) != 3 {
		t.Fatalf("got %+v", h.Artifacts)
	}
	if got := h.OfType(outlineType()); len(got) != 1 || got[0].Digest != lone.Digest {
		t.Errorf("got %+v", got)
	}
}
