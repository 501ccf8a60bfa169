package decision

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/facts"
)

// gather returns what an image needs, and the same after it was kept as JSON.
func gather(t *testing.T, r *fakeregistry.Registry) (fresh, kept *Needs) {
	t.Helper()
	resolver := newTestResolver(t, r, testkit.Node(1))
	fresh, err := resolver.Gather(t.Context(), GatherRequest{Reference: app, Rules: resolver.rules()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fresh)
	if err != nil {
		t.Fatal(err)
	}
	kept = new(Needs)
	if err := json.Unmarshal(text, kept); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	bodies := map[digest.Digest][]byte{}
	for a := range fresh.Artifacts() {
		bodies[a.Layer] = a.Body
	}
	kept.SetBodies(func(d digest.Digest) []byte { return bodies[d] })
	return fresh, kept
}

func textOf(t *testing.T, d *Decision) string {
	t.Helper()
	same := *d
	same.Time = time.Time{}
	text, err := json.MarshalIndent(same, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkSameAsPull compares what is gathered once with a pull on each node.
func checkSameAsPull(t *testing.T, push func(r *fakeregistry.Registry)) {
	t.Helper()
	r := newTestRegistry(t)
	push(r)
	fresh, kept := gather(t, r)
	for name, node := range map[string]*facts.Facts{
		"v1": testkit.Node(1), "v2": testkit.Node(2), "v3": testkit.Node(3, "AVX2"), "v4": testkit.Node(4),
		"HPC": compattest.HPC(), "cloud": compattest.Cloud(), "ARM": compattest.ARM(), "untold": facts.New("linux", "", facts.Features{}),
	} {
		resolver := newTestResolver(t, r, node)
		want := textOf(t, explain(t, resolver, app))
		for how, needs := range map[string]*Needs{"fresh": fresh, "kept": kept} {
			d, err := resolver.Evaluate(t.Context(), needs, resolver.Snapshot(), true)
			if err != nil {
				t.Fatal(err)
			}
			if got := textOf(t, d); got != want {
				t.Errorf("%s, %s\ngot  %s\nwant %s", name, how, got, want)
			}
		}
	}
}

// What is gathered once is evaluated on each node as a pull on that node decides, to the
// last word.
func TestWhatIsGatheredOnceIsEvaluatedAsAPull(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("testdata/indexes")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), ".json")
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkSameAsPull(t, func(r *fakeregistry.Registry) { pushShape(t, r, name) })
		})
	}
	for name, push := range map[string]func(r *fakeregistry.Registry){
		"artifacts of variants and of the index": func(r *fakeregistry.Registry) {
			v1, v3, arm := r.Image("linux/amd64", "v1"), r.Image("linux/amd64/v3", "v3"), r.Image("linux/arm64", "arm")
			other := r.Image("linux/amd64", "other")
			r.Attach(other, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AVX512F": true`})
			r.Attach(arm, fakeregistry.Artifact{Attributes: `"cpu-cpuid.ASIMD": true`})
			r.Attach(v1, fakeregistry.Artifact{Body: "not JSON"})
			index := r.Index("1", v1, v3, arm, other, r.Index("inner", r.Image("linux/amd64/v2", "v2")))
			r.Attach(index, fakeregistry.Artifact{Attributes: `"kernel-version.full": "6.0"`})
		},
		"a single image": func(r *fakeregistry.Registry) {
			r.Attach(r.Image("linux/amd64/v2", "a", "1"), fakeregistry.Artifact{Attributes: `"cpu-cpuid.AVX2": true`})
		},
		"a single image without a config": func(r *fakeregistry.Registry) {
			r.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}, "1")
		},
		"many variants": func(r *fakeregistry.Registry) {
			entries := []ocispec.Descriptor{r.Image("linux/arm64", "arm")}
			for i := range maxCandidates + 1 {
				entries = append(entries, r.Image("linux/amd64", fmt.Sprint(i)))
			}
			r.Index("1", entries...)
		},
		"priorities": func(r *fakeregistry.Registry) {
			r.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{
				MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{r.Image("linux/amd64/v3", "a"), r.Image("linux/amd64", "b")},
				Annotations: map[string]string{dialect.AnnotationPriorities: "x86_64 :: level :: v3"},
			}, "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkSameAsPull(t, push)
		})
	}
}

// In a session, images that share a body come out as each of them alone.
func TestImagesOfASessionComeOutAsAlone(t *testing.T) {
	t.Parallel()
	r := newTestRegistry(t)
	variants := func(tag string, bodies ...string) {
		var entries []ocispec.Descriptor
		for i, body := range bodies {
			image := r.Image("linux/amd64", fmt.Sprint(tag, i))
			r.Attach(image, fakeregistry.Artifact{Attributes: body})
			entries = append(entries, image)
		}
		r.Index(tag, entries...)
	}
	const avx2, avx512 = `"cpu-cpuid.AVX2": true`, `"cpu-cpuid.AVX512F": true`
	variants("1", avx2, avx512)
	variants("2", avx512)
	variants("3", avx512, avx2, `"no-such.X": true`)
	resolver := newTestResolver(t, r, testkit.Node(3, "AVX2"))
	session := resolver.Sessions(resolver.rules()).On(resolver.facts())
	for _, tag := range []string{"1", "2", "3", "1"} {
		ref := strings.TrimSuffix(app, "1") + tag
		needs, err := resolver.Gather(t.Context(), GatherRequest{Reference: ref, Rules: resolver.rules()})
		if err != nil {
			t.Fatal(err)
		}
		got, err := session.Decide(t.Context(), needs)
		if err != nil {
			t.Fatal(err)
		}
		want := decide(t, resolver, ref)
		got.Cases, want.Cases = nil, nil
		if got, want := textOf(t, got), textOf(t, want); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", ref, got, want)
		}
	}
}
