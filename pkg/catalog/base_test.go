package catalog_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// basedOn stores an image that names its base.
func basedOn(reg *fakeregistry.Registry, tag, base string, d digest.Digest) {
	image := reg.Image("linux/amd64", tag)
	m := reg.Get(image.Digest)
	m.Annotations = map[string]string{ocispec.AnnotationBaseImageName: base, ocispec.AnnotationBaseImageDigest: d.String()}
	image = reg.Manifest(ocispec.MediaTypeImageManifest, m)
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	reg.Index(tag, image)
}

func kernel(version string) fakeregistry.Artifact {
	return fakeregistry.Artifact{Body: `{"compatibilities": {"oci": {"oci.kernel.versions": ">=` + version + `"}}}`}
}

// What the base images need is in the catalog as a pull finds it, costs no request while it
// is current, and follows what changes there. The base images are no images of the source.
func TestTheCatalogHasWhatBaseImagesNeed(t *testing.T) {
	t.Parallel()
	reg, clock := fakeregistry.New(t, fakeregistry.Options{}), catalogtest.NewClock()
	base := reg.In("base")
	amd := base.Image("linux/amd64", "amd")
	index := base.Index("9", base.Image("linux/arm64", "arm"), amd)
	base.Attach(amd, kernel("99"))
	alone := base.Image("linux/amd64", "alone", "8")
	base.Attach(alone, kernel("98"))
	app := reg.In("team/app")
	basedOn(app, "index", base.Reference(":9"), index.Digest)
	basedOn(app, "variant", base.Reference(":9"), amd.Digest)
	basedOn(app, "image", base.Reference(":8"), alone.Digest)
	basedOn(app, "gone", base.Reference(":7"), digest.FromString("gone"))
	basedOn(app, "elsewhere", "127.0.0.1:1/base:1", amd.Digest)

	c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{Now: clock.Now})
	catalogtest.Add(t, c, reg.Host()+"/team")
	s := catalogtest.Syncer(t, c)
	s.InheritBase = true
	if sum := catalogtest.Sync(t, s); sum.New != 5 || sum.Problems != 0 {
		t.Fatalf("sync: %+v", sum)
	}
	bench := decisiontest.New(t, compattest.HPC())
	rules := *bench.Rules.Load()
	rules.InheritBase = true
	pulls := registry.New(registry.Options{})
	t.Cleanup(pulls.Close)
	reasons := func(rules *decision.Rules) map[string]string {
		t.Helper()
		all, err := catalog.ParseExpression("")
		if err != nil {
			t.Fatal(err)
		}
		images, err := c.Images(t.Context(), all, rules)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, image := range images {
			d, err := bench.Evaluator.Evaluate(t.Context(), image.Needs, decision.Snapshot{Rules: rules, Facts: compattest.HPC()}, false)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimPrefix(image.Names[0], app.Reference(":"))] = d.Reason
		}
		return found
	}
	for tag, got := range reasons(&rules) {
		d, err := decision.NewResolver(bench.Evaluator, pulls).Decide(t.Context(), decision.Request{
			Reference: app.Reference(":" + tag), Snapshot: decision.Snapshot{Rules: &rules, Facts: compattest.HPC()},
		})
		if err != nil || got != d.Reason {
			t.Errorf("%s: %v\n got %s\nwant %s", tag, err, got, d.Reason)
		}
	}
	for tag, want := range map[string]string{"index": ">= 99", "variant": ">= 99", "image": ">= 98", "gone": "it fits", "elsewhere": "it fits"} {
		if got := reasons(&rules); !strings.Contains(got[tag], want) || len(got) != 5 {
			t.Errorf("%s: %s, want %s; %d images", tag, got[tag], want, len(got))
		}
	}
	if got := reasons(bench.Rules.Load())["index"]; strings.Contains(got, "99") {
		t.Errorf("turned off: %s", got)
	}
	asked := len(reg.Recorded())
	catalogtest.Sync(t, s)
	for _, r := range reg.Recorded()[asked:] {
		if path := r.URL.Path; strings.Contains(path, "/base/") && !strings.Contains(path, digest.FromString("gone").String()) {
			t.Errorf("the second sync asked for %s %s", r.Method, path)
		}
	}
	clock.Add(2 * time.Hour) // the lists are old
	base.Attach(alone, fakeregistry.Artifact{Body: kernel("97").Body, Annotations: map[string]string{ocispec.AnnotationCreated: "2026-11-01T00:00:00Z"}})
	catalogtest.Sync(t, s)
	if got := reasons(&rules)["image"]; !strings.Contains(got, ">= 97") {
		t.Errorf("after a change of the base image: %s", got)
	}
}
