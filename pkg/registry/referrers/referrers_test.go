package referrers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// memory is a repository in memory.
type memory struct {
	listed   []ocispec.Descriptor
	contents map[digest.Digest][]byte
	down     error // what every request for content fails with
}

func (m *memory) List(context.Context, ocispec.Descriptor) (registry.Listing, error) {
	return registry.Listing{Referrers: m.listed, Total: len(m.listed)}, nil
}

func (m *memory) Manifest(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	content, ok := m.contents[desc.Digest]
	switch {
	case m.down != nil:
		return nil, m.down
	case !ok:
		return nil, registry.ErrNotFound
	}
	return content, nil
}

func (m *memory) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return m.Manifest(ctx, desc)
}

func (m *memory) put(mediaType string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	m.contents[d] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

var subject = ocispec.Descriptor{Digest: digest.FromString("subject"), Size: 1}

// attach lists an artifact of the second of a minute.
func (m *memory) attach(t *testing.T, second int) ocispec.Descriptor {
	t.Helper()
	created := map[string]string{ocispec.AnnotationCreated: fmt.Sprintf("2026-01-01T00:00:%02dZ", second)}
	text, err := json.Marshal(ocispec.Manifest{
		ArtifactType: dialect.ArtifactType, Subject: &subject, Annotations: created,
		Layers: []ocispec.Descriptor{m.put(dialect.LayerTypeOutline, fmt.Appendf(nil, `{"compatibilities": {"x": {"a": %d}}}`, second))},
	})
	if err != nil {
		t.Fatal(err)
	}
	desc := m.put(ocispec.MediaTypeImageManifest, text)
	desc.ArtifactType, desc.Annotations = dialect.ArtifactType, created
	m.listed = append(m.listed, desc)
	return desc
}

func newMemory() *memory { return &memory{contents: map[digest.Digest][]byte{}} }

func TestTheNewestOfAKindIsCurrentWhateverTheOrderOfTheList(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.attach(t, 1)
	newest := m.attach(t, 3)
	m.attach(t, 2)
	m.listed = append(m.listed, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-sbom", Digest: "sha256:x"})
	for range 2 {
		found, err := referrers.Discover(t.Context(), m, subject)
		if err != nil || len(found.Artifacts) != 3 || found.Others != 1 || found.Unopened != 0 {
			t.Fatalf("found %+v, %v", found, err)
		}
		if current := found.Current(); len(current) != 1 || current[0].Manifest != newest.Digest {
			t.Errorf("current %+v, want %s", current, newest.Digest)
		}
		slices.Reverse(m.listed)
	}
}

func TestReferrersBeyondTheLimitAreCounted(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for second := range referrers.MaxOpened + 5 {
		m.attach(t, second)
	}
	found, err := referrers.Discover(t.Context(), m, subject)
	if err != nil || len(found.Artifacts) != referrers.MaxOpened || found.Unopened != 5 || found.Others != 5 {
		t.Errorf("%d artifacts, %d others, %d unopened, %v", len(found.Artifacts), found.Others, found.Unopened, err)
	}
}

func TestMissingContentIsAProblemAndARegistryThatIsDownAnError(t *testing.T) {
	t.Parallel()
	m := newMemory()
	delete(m.contents, m.attach(t, 1).Digest)
	found, err := referrers.Discover(t.Context(), m, subject)
	if err != nil || len(found.Artifacts) != 1 || found.Artifacts[0].Problem == "" {
		t.Errorf("found %+v, %v", found, err)
	}
	m.down = errors.New("connection refused")
	if _, err := referrers.Discover(t.Context(), m, subject); !errors.Is(err, m.down) {
		t.Errorf("got %v, want %v", err, m.down)
	}
}
