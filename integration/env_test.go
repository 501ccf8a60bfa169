package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// The flags of a CPU as /proc/cpuinfo shows them, level by level.
const (
	flagsV2 = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm " +
		"pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
	flagsV3 = flagsV2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave osxsave"
)

// drainTime is how long a daemon may take to end.
const drainTime = 10 * time.Second

// fit is imagefit in front of a real containerd, with a registry beside it.
type fit struct {
	*stack.Imagefit
	containerd *stack.Containerd
	registry   *stack.Registry
	cri        *stack.CRI // image calls through the proxy, runtime calls beside it
	byProxy    bool       // tags are kept by the proxy, not by the runtime
}

// startFit starts containerd, a registry and the proxy. The node's CPU is what
// the flags say, whatever this machine has; the workload runs on every CPU.
func startFit(t testing.TB, flags string, settings stack.Settings) *fit {
	t.Helper()
	return startFitWith(t, startContainerd(t, stack.Options{}), startRegistry(t), flags, settings)
}

func startFitWith(t testing.TB, containerd *stack.Containerd, registry *stack.Registry, flags string, settings stack.Settings) *fit {
	t.Helper()
	return startFitOn(t, containerd, registry, host(t, flags), settings)
}

// startFitOn starts the proxy for a node with this tree.
func startFitOn(t testing.TB, containerd *stack.Containerd, registry *stack.Registry, root string, settings stack.Settings) *fit {
	t.Helper()
	settings.Facts += fmt.Sprintf("\nroot = %q\n", root)
	if settings.Cache == "" {
		settings.Cache = `referrers_ttl = "0s"` // tests do not wait for a list to grow old
	}
	imagefit, err := containerd.NewImagefit(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("cri-proxy's log ends with\n%s", imagefit.Proxy.Tail(30))
			if imagefit.Plugin.Pid() != 0 {
				t.Logf("nri-plugin's log ends with\n%s", imagefit.Plugin.Tail(30))
			}
		}
		if err := imagefit.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := imagefit.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	cri, err := containerd.ImagesVia(imagefit.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cri.Close() })
	return &fit{
		Imagefit: imagefit, containerd: containerd, registry: registry, cri: cri, byProxy: strings.Contains(settings.Proxy, `names = "proxy"`),
	}
}

// keepers runs a test with each keeper of tags.
func keepers(t *testing.T, test func(*testing.T, *fit)) {
	t.Helper()
	for _, keeper := range []string{"runtime", "proxy"} {
		t.Run("names kept by the "+keeper, func(t *testing.T) {
			test(t, startFit(t, flagsV3, keptBy(keeper)))
		})
	}
}

func keptBy(keeper string) stack.Settings {
	return stack.Settings{Proxy: fmt.Sprintf("names = %q", keeper)}
}

// host makes the tree of a node with these CPU flags and kernel 6.1.
func host(t testing.TB, flags string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\n" +
			"model name\t: Test CPU\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\nflags\t\t: " + flags + "\n\n",
		"proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
		"proc/modules":              "overlay 1 0 - Live 0x0\n",
		"etc/os-release":            "ID=debian\nVERSION_ID=\"12\"\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// variants are images whose config user is 1000, named after their platform.
func variants(names ...string) []stack.Image {
	images := make([]stack.Image, 0, len(names))
	for _, name := range names {
		arch, variant, _ := strings.Cut(name, "/")
		images = append(images, stack.Image{
			Variant: name, User: "1000",
			Platform: ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant},
		})
	}
	return images
}

// push pushes an index of such images as NAME:1.
func (f *fit) push(t testing.TB, name string, images ...stack.Image) (*stack.Repo, ocispec.Descriptor, []ocispec.Descriptor) {
	t.Helper()
	repo := f.registry.Repo(name)
	index, manifests, err := repo.PushIndex(t.Context(), "1", images...)
	if err != nil {
		t.Fatal(err)
	}
	return repo, index, manifests
}

// needs attaches an artifact of Proposal F to the subject.
func needs(t testing.TB, repo *stack.Repo, subject ocispec.Descriptor, attributes string) {
	t.Helper()
	body := fmt.Sprintf(`{"compatibilities": {"nfd": {%s}}}`, attributes)
	if _, err := repo.Attach(t.Context(), subject, stack.Artifact{Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

// pull pulls through the proxy, or the test ends.
func (f *fit) pull(t testing.TB, ref string) string {
	t.Helper()
	id, err := f.cri.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
	return id
}

// wantID checks that the references resolve to the image at once.
func wantID(t testing.TB, cri *stack.CRI, id string, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		image, err := cri.Status(t.Context(), ref)
		switch {
		case err != nil:
			t.Errorf("status of %s: %v", ref, err)
		case image.GetId() != id:
			t.Errorf("status of %s is %s, want %s", ref, image.GetId(), id)
		case image.GetUid().GetValue() != 1000:
			t.Errorf("user of %s is %v, want 1000: the kubelet would run it as root", ref, image.GetUid())
		}
	}
}

// wantRuns runs a pod of the reference as the kubelet would and reads what it
// says of itself.
func (f *fit) wantRuns(t testing.TB, ref, id, variant string) {
	t.Helper()
	got, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id})
	if err != nil {
		t.Fatalf("run %s: %v", ref, err)
	}
	if want := "variant=" + variant + " uid=1000"; got != want {
		t.Errorf("%s says %q, want %q", ref, got, want)
	}
}

func run(ctx context.Context, cri *stack.CRI, ref string, opts stack.PodOptions) (string, error) {
	container, err := cri.RunContainer(ctx, ref, opts)
	if err != nil {
		return "", err
	}
	return cri.WaitOutput(ctx, container)
}

// records are containerd's own image records but for the pause image's.
func (f *fit) records(t testing.TB) map[string]digest.Digest {
	t.Helper()
	records, err := f.containerd.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pause := records[f.containerd.PauseImage]
	for name, target := range records {
		if target == pause {
			delete(records, name)
		}
	}
	return records
}

func names(records map[string]digest.Digest) string {
	var all []string
	for name := range records {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// removeState removes the state folder, in which the daemons may write meanwhile.
func (f *fit) removeState() (err error) {
	for range 100 {
		if err = os.RemoveAll(f.StateDir); err == nil {
			return nil
		}
	}
	return err
}

// proxyLog is what the proxy has logged so far.
func (f *fit) proxyLog(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(f.Proxy.Log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
