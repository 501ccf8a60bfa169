package decision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/selector"
)

// rawIndex stores an index whose entries have these platforms as they are
// written, and an annotation each where given.
func rawIndex(r *fakeregistry.Registry, t *testing.T, entries ...string) {
	t.Helper()
	var list []json.RawMessage
	for i, entry := range entries {
		platform, annotations, _ := strings.Cut(entry, " | ")
		if annotations == "" {
			annotations = "{}"
		}
		image := r.Image("linux/amd64", fmt.Sprint("entry", i))
		list = append(list, json.RawMessage(fmt.Sprintf(`{"mediaType": %q, "digest": %q, "size": %d, "platform": %s, "annotations": %s}`,
			image.MediaType, image.Digest, image.Size, platform, annotations)))
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": list})
	if err != nil {
		t.Fatal(err)
	}
	r.Manifest(ocispec.MediaTypeImageIndex, body, "1")
}

// What an index entry says of itself counts without another request.
func TestClaimsOfIndexEntriesAreEvaluated(t *testing.T) {
	t.Parallel()
	const plain = `{"os": "linux", "architecture": "amd64"}`
	with := func(more string) string { return `{"os": "linux", "architecture": "amd64", ` + more + `}` }
	gpu := `{"com.example.gpu": "h100"}`
	tests := []struct {
		name    string
		entries []string
		want    int
	}{
		{"a feature that is there", []string{plain, with(`"features": ["avx2"]`)}, 1},
		{"a feature that is not", []string{with(`"features": ["avx512f"]`), plain}, 1},
		{"a feature nobody knows", []string{with(`"features": ["flux-capacitor"]`), plain}, 1},
		{"only a feature nobody knows", []string{with(`"features": ["flux-capacitor"]`)}, 0},
		{"a feature of docker's manifest lists", []string{with(`"features": ["sse4"]`), with(`"features": ["avx512f"]`)}, 0},
		{"os.features nobody knows", []string{with(`"os.features": ["cuda12"]`), plain}, 1},
		{"only os.features nobody knows", []string{with(`"os.features": ["cuda12"]`)}, 0},
		{"sets of Proposal H", []string{plain, with(`"compatibilities": [{"oci.cpu.features": "AVX2,"}]`)}, 1},
		{"sets of Proposal H that do not hold", []string{with(`"compatibilities": [{"oci.cpu.features": "AVX512F,"}]`), plain}, 1},
		{"a preferred annotation", []string{plain, plain + " | " + gpu}, 1},
		{"another value", []string{plain, plain + ` | {"com.example.gpu": "a100"}`}, 0},
		{"a platform that cannot be read", []string{with(`"features": {"a": 1}`), plain}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			rawIndex(r, t, tt.entries...)
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			change(resolver, func(r *Rules) {
				r.Prefer = []dialect.AnnotationPreference{{Key: "com.example.gpu", Value: "h100", Weight: 10}}
			})
			d := decide(t, resolver, app)
			if d.Choice != tt.want {
				t.Errorf("chose %d, want %d: %s", d.Choice, tt.want, d.Reason)
			}
			for _, asked := range r.Requests() {
				if strings.Contains(asked, "blobs/") {
					t.Errorf("asked %s", asked)
				}
			}
			if d.Choice == None {
				return
			}
			if err := resolver.Remember("sha256:x", d, d.Choice); err != nil {
				t.Fatal(err)
			}
			if verdict, err := recall(resolver, "sha256:x", ""); err != nil || verdict.Outcome == selector.Unfit {
				t.Errorf("recalled %s, %v", verdict.Outcome, err)
			}
		})
	}
}

// Proposal J's entry points at a blob that says what it needs.
func TestABlobThatAnEntryPointsAtIsEvaluated(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"holds":          {`{"schemaVersion": 2, "compatibilities": [{"oci.cpu.features": "AVX2,"}]}`, 1},
		"does not hold":  {`{"schemaVersion": 2, "compatibilities": [{"oci.cpu.features": "AVX512F,"}]}`, 0},
		"cannot be read": {`{"compatibilities": `, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			blob := r.Blob(dialect.LayerTypeCompatibilities, tt.body)
			rawIndex(r, t, `{"os": "linux", "architecture": "amd64"}`, fmt.Sprintf(
				`{"os": "linux", "architecture": "amd64", "compat": {"mediaType": %q, "digest": %q, "size": %d}}`, blob.MediaType, blob.Digest, blob.Size))
			resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
			d := decide(t, resolver, app)
			if d.Choice != tt.want {
				t.Errorf("chose %d, want %d: %+v", d.Choice, tt.want, d.Candidates)
			}
			// At admission it holds as well, without the network.
			if err := resolver.Remember("sha256:x", d, 1); err != nil {
				t.Fatal(err)
			}
			r.Close()
			wanted := map[string]selector.Outcome{"holds": selector.Fits, "does not hold": selector.Unfit, "cannot be read": selector.Unknown}[name]
			if verdict, err := recall(resolver, "sha256:x", ""); err != nil || verdict.Outcome != wanted {
				t.Errorf("recalled %s, %v, want %s", verdict.Outcome, err, wanted)
			}
		})
	}
}

// NVIDIA's variables in the image config count where the operator wants it.
func TestNVIDIAVariablesOfTheConfigAreEvaluatedWhereConfigured(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	config := r.Blob(ocispec.MediaTypeImageConfig, `{"config": {"Env": ["PATH=/", "NVIDIA_REQUIRE_CUDA=cuda>=99.0"]}}`)
	image := r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config})
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	r.Index("1", image)
	facts := testkit.Node(1)
	resolver := newTestResolver(t, r, facts)
	if d := explain(t, resolver, app); d.Refused() || len(d.Candidates[0].Requirements) != 0 {
		t.Errorf("not asked for: %s", d.Reason)
	}
	change(resolver, func(r *Rules) { r.NVIDIARequire = true })
	d := explain(t, resolver, app)
	if len(d.Candidates[0].Requirements) == 0 {
		t.Fatalf("nothing is required: %s", d.Reason)
	}
	if err := resolver.Remember("sha256:x", d, 0); err != nil {
		t.Fatal(err)
	}
	recalled, err := resolver.Recall(resolver.Snapshot(), "sha256:x")
	if err != nil || recalled.Best().Outcome == selector.Fits || !slices.Contains(recalled.Sets, "gpu.nvidia") {
		t.Errorf("recalled %+v, %v", recalled, err)
	}
}
