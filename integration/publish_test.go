package integration

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// compiled is an image with a real program, compiled with these options.
func compiled(t *testing.T, repo *stack.Repo, options string, annotations map[string]string) ocispec.Descriptor {
	t.Helper()
	program := filepath.Join(t.TempDir(), "math")
	args := append(strings.Fields(options), "-static", "-s", "-o", program, "testdata/programs/math.c", "-lm")
	if out, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", options, err, out)
	}
	body, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "bin/math", Mode: 0o755, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(files.Bytes())}},
	}
	config.Config.User, config.Config.Labels = "1000", map[string]string{"options": options}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Annotations: annotations}
	text, err := json.Marshal(config)
	if err == nil {
		m.Config, err = repo.PushBlob(t.Context(), ocispec.MediaTypeImageConfig, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	layer, err := repo.PushBlob(t.Context(), ocispec.MediaTypeImageLayer, files.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m.Layers = []ocispec.Descriptor{layer}
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	desc, err := repo.PushManifest(t.Context(), "", ocispec.MediaTypeImageManifest, text)
	if err != nil {
		t.Fatal(err)
	}
	desc.Platform = &config.Platform
	return desc
}

// wantPulled checks that a pull takes the variant with this manifest.
func (f *fit) wantPulled(t *testing.T, repo *stack.Repo, tag string, manifest ocispec.Descriptor) {
	t.Helper()
	want, err := repo.Config(t.Context(), manifest)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.pull(t, repo.Ref(tag)); got != want.String() {
		t.Errorf("%s: pulled %s, want %s", repo.Ref(tag), got, want)
	}
}

// TestPublishedNeedsDecideWhichVariantIsPulled: both entries say plain linux/amd64, one of
// them in an index within the index, and only the code shows which needs AVX2.
func TestPublishedNeedsDecideWhichVariantIsPulled(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (*stack.Registry, error){
		"referrers API": func(*testing.T) (*stack.Registry, error) { return stack.NewRegistry() },
		"tag schema":    func(t *testing.T) (*stack.Registry, error) { return stack.StartDistribution(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFitWith(t, startContainerd(t, stack.Options{}), started(t)(start(t)), flagsV2, stack.Settings{})
			repo := f.registry.Repo("app")
			fast, plain := compiled(t, repo, "-O3 -march=x86-64-v3", nil), compiled(t, repo, "-O1", nil)
			inner, err := repo.PushIndexOf(t.Context(), "", fast)
			if err != nil {
				t.Fatal(err)
			}
			for tag, entry := range map[string]ocispec.Descriptor{"1": fast, "nested": inner} {
				if _, err := repo.PushIndexOf(t.Context(), tag, entry, plain); err != nil {
					t.Fatal(err)
				}
			}
			out, errs, code := tool(t, "publish", repo.Ref("nested"), "--dry-run")
			if code != 0 || !strings.Contains(errs, "needs cpu-cpuid.AVX2=true: bin/math uses") {
				t.Errorf("dry run ended with %d: %s\n%s", code, out, errs)
			}
			f.wantPulled(t, repo, "1", fast)
			out, errs, code = tool(t, "publish", repo.Ref("nested"), "-q")
			if code != 0 || !strings.Contains(out, "attached: 1") {
				t.Fatalf("publish ended with %d: %s\n%s", code, out, errs)
			}
			f.wantPulled(t, repo, "1", plain)
			f.wantPulled(t, repo, "nested", plain)
		})
	}
}

// TestPrioritiesOfTheAuthorDecideBetweenVariantsThatFit: before the level, and not before
// what is known to fit.
func TestPrioritiesOfTheAuthorDecideBetweenVariantsThatFit(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	for name, tt := range map[string]struct {
		priorities string
		needs      map[string]string
		want       string
	}{
		"none":          {"", nil, "amd64/v3"},
		"a feature":     {"nfd :: cpu-cpuid.SSSE3 :: true, x86_64 :: level :: v3", map[string]string{"amd64": `"cpu-cpuid.SSSE3": true`}, "amd64"},
		"does not fit":  {"nfd :: cpu-cpuid.AMXINT8 :: true", map[string]string{"amd64": `"cpu-cpuid.AMXINT8": true`}, "amd64/v3"},
		"is unknown":    {"nfd :: org.example.license :: gold", map[string]string{"amd64": `"org.example.license": "gold"`}, "amd64/v3"},
		"not a list":    {"x86_64 level v2", nil, "amd64/v3"},
		"the plain one": {"null", nil, "amd64"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := f.registry.Repo(strings.ReplaceAll(name, " ", "-"))
			var entries []ocispec.Descriptor
			for _, image := range variants("amd64", "amd64/v2", "amd64/v3") {
				manifest, err := repo.PushImage(t.Context(), "", image)
				if err != nil {
					t.Fatal(err)
				}
				if attributes := tt.needs[image.Variant]; attributes != "" {
					needs(t, repo, manifest, attributes)
				}
				entries = append(entries, manifest)
			}
			index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}
			if tt.priorities != "" {
				index.Annotations = map[string]string{"imagefit.dev/priorities": tt.priorities}
			}
			text, err := json.Marshal(index)
			if err == nil {
				_, err = repo.PushManifest(t.Context(), "1", ocispec.MediaTypeImageIndex, text)
			}
			if err != nil {
				t.Fatal(err)
			}
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), tt.want)
		})
	}
}

// TestVariantsInheritWhatTheirBaseImageNeeds: at the pull where select.inherit_base is set,
// and by publish everywhere.
func TestVariantsInheritWhatTheirBaseImageNeeds(t *testing.T) {
	for name, inherits := range map[string]bool{"off": false, "on": true} {
		t.Run(name, func(t *testing.T) {
			settings := stack.Settings{}
			if inherits {
				settings.Policy = "[select]\ninherit_base = true\n"
			}
			f := startFit(t, flagsV2, settings)
			base := f.registry.Repo("base")
			_, bases, err := base.PushIndex(t.Context(), "9", variants("amd64", "arm64")...)
			if err != nil {
				t.Fatal(err)
			}
			needs(t, base, bases[0], `"cpu-cpuid.AVX2": true`)
			repo := f.registry.Repo("app")
			built := compiled(t, repo, "-O1", map[string]string{
				ocispec.AnnotationBaseImageName: base.Ref("9"), ocispec.AnnotationBaseImageDigest: bases[0].Digest.String(),
			})
			free := compiled(t, repo, "-O2", nil)
			if _, err := repo.PushIndexOf(t.Context(), "1", built, free); err != nil {
				t.Fatal(err)
			}
			if inherits {
				f.wantPulled(t, repo, "1", free)
				return
			}
			f.wantPulled(t, repo, "1", built)
			if out, errs, code := tool(t, "publish", repo.Ref("1"), "-q"); code != 0 || !strings.Contains(out, "attached: 1") {
				t.Fatalf("publish ended with %d: %s\n%s", code, out, errs)
			}
			f.wantPulled(t, repo, "1", free)
		})
	}
}
