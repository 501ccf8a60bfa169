package decision

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// FuzzIndexEntries decides about any bytes as an index.
func FuzzIndexEntries(f *testing.F) {
	d := digest.FromString("x").String()
	for _, seed := range []string{
		`{}`, `null`, `{"manifests": null}`, `{"manifests": [null]}`, `{"manifests": [{"platform": null}]}`,
		`{"manifests": [{"mediaType": "` + ocispec.MediaTypeImageManifest + `", "size": 1, "digest": "` + d + `", "platform": {"os": "linux", "architecture": "amd64", "variant": "v3"}}]}`,
		`{"manifests": [{"mediaType": "` + ocispec.MediaTypeImageManifest + `", "size": -1, "digest": ":", "platform": {"os": "LINUX", "architecture": "x86_64", "os.features": [""]}}]}`,
	} {
		f.Add([]byte(seed))
	}
	r := newTestRegistry(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := r.For(t)
		r.Manifest(ocispec.MediaTypeImageIndex, body, "1")
		d, err := decideAs(t.Context(), newTestResolver(t, r, testkit.Node(3)), app)
		if err != nil {
			t.Skip(err)
		}
		for _, c := range d.Candidates {
			if c.Digest.Validate() != nil || c.descriptor.Size <= 0 || c.platform == nil {
				t.Fatalf("a candidate %+v", c)
			}
			if len(c.Platform) > maxSentence {
				t.Fatalf("a name of %d bytes", len(c.Platform))
			}
		}
		if d.Default < None || d.Default >= len(d.Candidates) || len(d.Reason) > 2*maxSentence {
			t.Fatalf("default %d of %d, a reason of %d bytes", d.Default, len(d.Candidates), len(d.Reason))
		}
	})
}

// FuzzArtifactManifest decides about an image with any bytes as its artifact's
// manifest. Nothing but the registry not answering is an error.
func FuzzArtifactManifest(f *testing.F) {
	subject := `"subject": {"digest": "SUBJECT"}`
	typed := `"artifactType": "` + dialect.ArtifactType + `"`
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{` + typed + `}`, `{` + typed + `, ` + subject + `}`,
		`{` + typed + `, ` + subject + `, "layers": [{"mediaType": "` + dialect.LayerTypeOutline + `", "digest": "BODY", "size": 53}]}`,
		`{` + typed + `, ` + subject + `, "layers": [{"mediaType": "` + dialect.LayerTypeOutline + `", "digest": "nonsense", "size": 1}]}`,
		`{` + typed + `, ` + subject + `, "layers": [{"mediaType": "` + dialect.LayerTypeOutline + `", "digest": "sha256:", "size": -1}, null]}`,
		`{"config": {"mediaType": "` + dialect.ArtifactType + `"}, ` + subject + `}`,
	} {
		f.Add([]byte(seed))
	}
	r := newTestRegistry(f)
	image := r.Image("linux/amd64", "a", "1")
	body := r.Blob(dialect.LayerTypeOutline, `{"compatibilities": {"x": {"cpu-cpuid.AVX2": true}}}`)
	names := strings.NewReplacer("SUBJECT", image.Digest.String(), "BODY", body.Digest.String())
	resolver := newTestResolver(f, r, testkit.Node(1))
	change(resolver, func(r *Rules) { r.ReferrersTTL = 0 })
	f.Fuzz(func(t *testing.T, manifest []byte) {
		manifest = []byte(names.Replace(string(manifest)))
		r := r.For(t)
		desc := r.Manifest(ocispec.MediaTypeImageManifest, manifest)
		desc.ArtifactType = dialect.ArtifactType
		r.Unlist(image)
		r.List(image, desc)
		decideAnything(t, resolver)
	})
}

// FuzzDecide decides about any bytes as an index, end to end.
func FuzzDecide(f *testing.F) {
	r := newTestRegistry(f)
	good, _ := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{r.Image("linux/amd64", "a"), r.Image("linux/amd64/v3", "b")}})
	for _, seed := range [][]byte{good, []byte(`{}`), []byte(`null`), []byte(`{"manifests": [{}]}`)} {
		f.Add(seed)
	}
	resolver := newTestResolver(f, r, testkit.Node(3))
	f.Fuzz(func(t *testing.T, index []byte) {
		r.For(t).Manifest(ocispec.MediaTypeImageIndex, index, "1")
		decideAnything(t, resolver)
	})
}

// decideAnything checks what holds of every decision.
func decideAnything(t *testing.T, resolver *Resolver) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d, err := resolver.Decide(ctx, Request{Snapshot: resolver.Snapshot(), Reference: app})
	if err != nil {
		if len(err.Error()) > 4*maxSentence {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
		return
	}
	checkLine(t, d.Reason, maxSentence)
	if d.NothingToChoose() {
		return
	}
	if d.Refused() == (d.Choice != None) || d.Choice >= len(d.Candidates) || d.Default >= len(d.Candidates) {
		t.Fatalf("refused %t, choice %d, default %d of %d", d.Refused(), d.Choice, d.Default, len(d.Candidates))
	}
	if err := resolver.Remember("sha256:x", d, d.ByPreference()[0]); err != nil {
		t.Fatal(err)
	}
	verdict, err := recall(resolver, "sha256:x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Candidates[d.ByPreference()[0]].Outcome; verdict.Outcome != got {
		t.Fatalf("recalled as %s, decided as %s", verdict.Outcome, got)
	}
	checkLine(t, verdict.Refusal(d.Reference), maxSentence)
}
