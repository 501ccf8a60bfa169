package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestPullForARuntimeClassRunsUnderItsHandler: a pull that names its runtime handler, in the
// field or as an annotation, is chosen for and unpacked as any other.
func TestPullForARuntimeClassRunsUnderItsHandler(t *testing.T) {
	other := otherHandler(t, "io.containerd.cri.v1.runtime") + transferTable +
		unpackEntry("linux/amd64", "overlayfs") + unpackEntry("linux/amd64", "native")
	for handler, test := range map[string]struct{ config, variant string }{
		"same":  {sameHandler(t), "amd64/v3"},
		"other": {other, "amd64"}, // a higher level would stay packed for its snapshotter
	} {
		t.Run(handler, func(t *testing.T) {
			c := startRuntime(t, stack.Options{Extra: test.config})
			needOverlay(t, runtimeSettings(t, c))
			f := startFitWith(t, c, startRegistry(t), flagsV3, stack.Settings{})
			for name, options := range map[string]stack.PullOptions{
				"field":      {RuntimeHandler: handler},
				"annotation": {Annotations: map[string]string{"io.containerd.cri.runtime-handler": handler}},
			} {
				images := variants("amd64", "amd64/v3")
				for i := range images {
					images[i].OwnLayer = true
					images[i].Variant += "-" + name
				}
				repo, index, _ := f.push(t, name, images...)
				for _, ref := range []string{repo.Ref("1"), repo.DigestRef(index)} {
					id, err := f.cri.Pull(t.Context(), ref, options)
					if err != nil {
						t.Fatal(err)
					}
					got, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id, RuntimeHandler: handler})
					if want := "variant=" + test.variant + "-" + name + " uid=1000"; err != nil || got != want {
						t.Errorf("by %s, %s: %q, %v, want %q", name, ref, got, err, want)
					}
				}
			}
		})
	}
}

// sameHandler is a runtime handler with the snapshotter of all.
func sameHandler(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf(`
[plugins.%[1]q.containerd.runtimes.same]
  runtime_type = "io.containerd.runc.v2"
[plugins.%[1]q.containerd.runtimes.same.options]
  Root = %[2]q
`, "io.containerd.cri.v1.runtime", t.TempDir())
}

// hostWithGPU is the tree of a node with an H100.
func hostWithGPU(t testing.TB) string {
	t.Helper()
	root := host(t, flagsV3)
	for name, text := range map[string]string{"vendor": "0x10de", "device": "0x2330", "class": "0x030200"} {
		path := filepath.Join(root, "sys/bus/pci/devices/0000:01:00.0", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pushModels pushes an index of files for three kinds of GPU as NAME:1.
func (f *fit) pushModels(t testing.TB, name string) (*stack.Repo, ocispec.Descriptor, []ocispec.Descriptor) {
	t.Helper()
	files := variants("amd64", "amd64", "amd64")
	for i, model := range models {
		files[i].Variant, files[i].OwnLayer = name+"-"+model, true
	}
	repo, index, manifests := f.push(t, name, files...)
	for i, kind := range []string{
		`"hardware.gpu.vendor": "amd"`,
		`"hardware.gpu.vendor": "nvidia", "hardware.gpu.architecture": "ampere"`,
		`"hardware.gpu.vendor": "nvidia", "hardware.gpu.architecture": "hopper"`,
	} {
		body := `{"compatibilities": {"org.supercontainers": {` + kind + `}}}`
		if _, err := repo.Attach(t.Context(), manifests[i], stack.Artifact{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	return repo, index, manifests
}

// models are what pushModels pushes; the last is for hostWithGPU.
var models = [...]string{"amd", "ampere", "hopper"}

// TestModelFilesAreChosenForTheGPUAndMounted: an index of files for several GPUs, mounted as an image
// volume and never run, is chosen from as one of programs.
func TestModelFilesAreChosenForTheGPUAndMounted(t *testing.T) {
	f := startFitOn(t, startContainerd(t, stack.Options{}), startRegistry(t), hostWithGPU(t), stack.Settings{})
	repo, index, _ := f.pushModels(t, "model")
	main, _, _ := f.push(t, "main", variants("amd64")...)
	mainID := f.pull(t, main.Ref("1"))
	for _, ref := range []string{repo.Ref("1"), repo.DigestRef(index)} {
		id := f.pull(t, ref)
		spec := &runtimeapi.ImageSpec{Image: id, UserSpecifiedImage: ref}
		container, err := f.cri.RunContainer(t.Context(), main.Ref("1"), stack.PodOptions{
			ImageRef: mainID, Mounts: []*runtimeapi.Mount{{ContainerPath: "/model", Readonly: true, Image: spec}},
		})
		if err != nil {
			t.Fatalf("mount %s: %v", ref, err)
		}
		if got := f.readIn(t, container, "/model/variant"); got != "model-hopper" {
			t.Errorf("%s mounted has %q, want model-hopper", ref, got)
		}
		if err := f.cri.CleanupPods(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
