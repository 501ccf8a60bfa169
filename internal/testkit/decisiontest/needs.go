package decisiontest

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// Variant is an image of an index: its platform, and the spec of NFD's or the body of
// Proposal F that is attached to it.
type Variant struct {
	OS, Architecture, Level string
	Body                    string
}

// Needs returns what an image of these variants needs, as if it were gathered.
func Needs(t testing.TB, reference string, variants ...Variant) *decision.Needs {
	t.Helper()
	n := decision.Needs{
		Reference: reference, Repository: decision.RepositoryOf(reference),
		Top:      ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString(reference), Size: 1},
		Attached: map[digest.Digest][]referrers.Artifact{},
	}
	nfd := compattest.Dialect(t, dialect.NFD)
	bodies := map[digest.Digest][]byte{}
	for i, v := range variants {
		raw, err := json.Marshal(ocispec.Platform{OS: v.OS, Architecture: v.Architecture, Variant: v.Level})
		if err != nil {
			t.Fatal(err)
		}
		manifest := digest.FromString(reference + string(rune('a'+i)))
		n.Entries = append(n.Entries, &decision.Entry{Listed: index.Entry{
			Descriptor:  ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifest, Size: 1},
			RawPlatform: raw,
		}})
		if v.Body == "" {
			continue
		}
		a := referrers.Artifact{Type: nfd.ArtifactTypes[0], MediaType: nfd.LayerTypes[0], Layer: digest.FromString(v.Body), Manifest: digest.FromString("of " + v.Body)}
		if v.Body[0] == '{' {
			a.Type, a.MediaType = dialect.ArtifactType, dialect.LayerTypeOutline
		}
		n.Attached[manifest] = []referrers.Artifact{a}
		bodies[a.Layer] = []byte(v.Body)
	}
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var read decision.Needs
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	read.SetBodies(func(d digest.Digest) []byte { return bodies[d] })
	return &read
}
