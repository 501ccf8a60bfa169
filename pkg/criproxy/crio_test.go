package criproxy

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/fakecrio"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/policy"
)

// crioBench is a client, the proxy and a CRI-O, with an index of plain amd64 and v3 under
// the tag 1.
type crioBench struct {
	*pullBench
	runtime *fakecrio.Runtime
	direct  runtimeapi.ImageServiceClient
	files   names.Files
}

func newCRIOBench(t *testing.T) *crioBench {
	t.Helper()
	path, registry := critest.Socket(t), newPullRegistry(t)
	runtime := &fakecrio.Runtime{Registry: registry.Registry}
	server := grpc.NewServer()
	runtime.Register(server)
	critest.Serve(t, path, server)
	b := &crioBench{
		pullBench: newPullBenchOn(t, path, registry, 3, nil), runtime: runtime,
		direct: runtimeapi.NewImageServiceClient(critest.Dial(t, path)),
		files:  names.Files{Folder: filepath.Join(t.TempDir(), "names"), Log: slog.New(slog.DiscardHandler)},
	}
	registry.index("1", "", "v3")
	b.names.Untags = func() bool { return true }
	b.restart(true)
	return b
}

// restart loads the names anew.
func (b *crioBench) restart(byProxy bool) {
	b.names.Keeper = names.NewKeeper(images.Names{Store: b.names.Records.(*images.Store)}, b.files)
	b.setKeeper(byProxy)
}

func (b *crioBench) remove(t *testing.T, ref string) {
	t.Helper()
	if _, err := b.client.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}}); err != nil {
		t.Fatal(err)
	}
}

func (b *crioBench) pullDirect(t *testing.T, ref string) {
	t.Helper()
	if _, err := b.direct.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}}); err != nil {
		t.Fatal(err)
	}
}

// wantResolves checks what references resolve to; "" is nothing.
func (b *crioBench) wantResolves(t *testing.T, id string, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		if got := b.status(t, ref); got != id {
			t.Errorf("%s resolves to %q, want %q", ref, got, id)
		}
	}
}

// crioID is what CRI-O calls an image.
func crioID(name string) string { return strings.TrimPrefix(imageID(name), "sha256:") }

// TestVariantIsChosenOnCRIO: all names are the proxy's, in files.
func TestVariantIsChosenOnCRIO(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	index, id := b.indexOf(t).String(), crioID("1v3")
	byIndex := appRepo + "@" + index
	if got := b.pullRef(t, appTag); got != id {
		t.Fatalf("pulled %s", got)
	}
	if r := b.last(); r.Action != policy.Pulled || r.Choice != "linux/amd64/v3" {
		t.Errorf("record %+v", r)
	}
	look := func(when string) {
		t.Helper()
		b.wantResolves(t, id, appTag, byIndex, appTag+"@"+index, id)
		b.wantList(t, id+" "+appTag+" "+byIndex)
		image, err := b.client.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: appTag}})
		if err != nil || image.GetImage().GetUsername() != "nobody" {
			t.Errorf("%s: status %v, %v", when, image, err)
		}
	}
	look("after the pull")
	b.restart(true)
	look("after a restart")
	if err := b.names.settle(t.Context()); err != nil {
		t.Error(err)
	}
	look("after a look at who keeps names")
}

// TestRemovalOfNamesOnCRIO: CRI-O removes a name, and the image with its last one. The
// digests that it shows of a tag are not names.
func TestRemovalOfNamesOnCRIO(t *testing.T) {
	t.Parallel()
	const two, id, byIndex, byManifest = "registry.example/app:2", "ID", "INDEX", "MANIFEST"
	for _, test := range []struct {
		name    string
		direct  []string // pulled without the proxy, at first
		pulled  []string
		removed []string
		want    string // what is listed in the end
	}{
		{name: "the tag", pulled: []string{appTag}, removed: []string{appTag}},
		{name: "the id", pulled: []string{appTag, byIndex}, removed: []string{id}},
		{name: "the digest of a tag is not a name", pulled: []string{appTag}, removed: []string{byIndex}, want: appTag + " " + byIndex},
		{name: "nor is that of the manifest", pulled: []string{appTag}, removed: []string{byManifest}, want: appTag + " " + byIndex},
		{name: "the digest", pulled: []string{byIndex}, removed: []string{byIndex}},
		{name: "the tag, of a tag and a digest", pulled: []string{appTag, byIndex}, removed: []string{appTag}, want: byIndex},
		{name: "the tag, of a digest and a tag", pulled: []string{byIndex, appTag}, removed: []string{appTag}, want: byIndex},
		{name: "both", pulled: []string{byIndex, appTag}, removed: []string{appTag, byIndex}},
		{name: "one of two tags", pulled: []string{appTag, two}, removed: []string{appTag}, want: two + " " + byIndex},
		{name: "two tags", pulled: []string{appTag, two}, removed: []string{two, appTag}},
		{name: "a tag beside the runtime's", direct: []string{byManifest}, pulled: []string{appTag, byManifest}, removed: []string{appTag}, want: byManifest + " " + byIndex},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newCRIOBench(t)
			entries := b.registry.index("1", "", "v3")
			b.registry.Index("2", entries...)
			for _, step := range []struct {
				refs []string
				do   func(*testing.T, string)
			}{
				{test.direct, b.pullDirect},
				{test.pulled, func(t *testing.T, ref string) { t.Helper(); b.pullRef(t, ref) }},
				{test.removed, b.remove},
			} {
				for _, ref := range step.refs {
					step.do(t, b.spell(t, ref))
				}
			}
			var want []string
			if test.want != "" {
				var line []string
				for _, name := range strings.Fields(test.want) {
					line = append(line, b.spell(t, name))
				}
				slices.Sort(line)
				want = append(want, crioID("1v3")+" "+strings.Join(line, " "))
			}
			b.wantList(t, want...)
			if n := b.names.Keeper.Len(); test.want == "" && n != 0 {
				t.Errorf("%d names are left: %v", n, b.names.Keeper.All())
			}
		})
	}
}

// spell replaces ID, INDEX and MANIFEST by what they are.
func (b *crioBench) spell(t *testing.T, ref string) string {
	t.Helper()
	switch ref {
	case "ID":
		return crioID("1v3")
	case "INDEX":
		return appRepo + "@" + b.indexOf(t).String()
	case "MANIFEST":
		return appRepo + "@" + b.registry.image("1v3").Digest.String()
	}
	return ref
}

// TestEarlierImageDoesNotComeBackUnderTheTag: CRI-O moves a tag when it is pulled anew, and
// so nothing is found by it once the new image is gone.
func TestEarlierImageDoesNotComeBackUnderTheTag(t *testing.T) {
	t.Parallel()
	for name, used := range map[string]bool{"unused": false, "used by a container": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newCRIOBench(t)
			if used {
				b.runtime.InUse = []string{crioID("1")}
			}
			b.pullDirect(t, appTag)
			id := b.pullRef(t, appTag)
			b.wantResolves(t, id, appTag)
			if used {
				return // CRI-O does not give up the last name of such an image
			}
			b.remove(t, id)
			b.wantResolves(t, "", appTag)
		})
	}
}

// TestPinnedImageStaysPinnedOnCRIO: CRI-O knows the variant by a digest, and its
// configuration the tag.
func TestPinnedImageStaysPinnedOnCRIO(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	b.names.IsPinned = func(ref string) bool { return ref == appTag }
	id := b.pullRef(t, appTag)
	list, err := b.client.ListImages(t.Context(), &runtimeapi.ListImagesRequest{})
	if err != nil || len(list.GetImages()) != 1 || !list.GetImages()[0].GetPinned() {
		t.Errorf("listed %v, %v", list, err)
	}
	image, err := b.client.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: id}})
	if err != nil || !image.GetImage().GetPinned() {
		t.Errorf("status %v, %v", image, err)
	}
}

// TestShortNameIsWhatCRIOResolvesItTo pulls, looks up and removes by the short name.
func TestShortNameIsWhatCRIOResolvesItTo(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	full := func(ref string) string {
		if rest, ok := strings.CutPrefix(ref, "app"); ok {
			return appRepo + rest
		}
		return ref
	}
	b.names.FullName, b.puller.FullName = full, full
	id := b.pullRef(t, "app:1")
	if id != crioID("1v3") || b.last().Reference != appTag {
		t.Errorf("pulled %s, record %+v", id, b.last())
	}
	b.wantResolves(t, id, "app:1", appTag, "app@"+b.indexOf(t).String())
	if pulls := b.runtime.Pulls(); !slices.Equal(pulls, []string{b.spell(t, "MANIFEST")}) {
		t.Errorf("the runtime pulled %q", pulls)
	}
	b.remove(t, "app:1")
	b.wantList(t)
}

// TestLevelAloneIsPulledOnCRIO: CRI-O by itself finds no image in such an index.
func TestLevelAloneIsPulledOnCRIO(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	b.registry.index("3", "v2")
	if got := b.pullRef(t, "registry.example/app:3"); got != crioID("3v2") {
		t.Errorf("pulled %s", got)
	}
}

// TestLostFilesCostAnotherPull: without its names an image is not found by them, which
// the kubelet answers with a pull.
func TestLostFilesCostAnotherPull(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	id := b.pullRef(t, appTag)
	b.files.Folder = filepath.Join(t.TempDir(), "empty")
	b.restart(true)
	b.wantResolves(t, "", appTag)
	if got := b.pullRef(t, appTag); got != id || b.status(t, appTag) != id {
		t.Errorf("pulled %q, the tag is %q", got, b.status(t, appTag))
	}
}

// TestImplicitDigestIsKeptAsOneOnceItIsPulledBy keeps what was asked for.
func TestImplicitDigestIsKeptAsOneOnceItIsPulledBy(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	byIndex := b.spell(t, "INDEX")
	for _, step := range []struct {
		ref     string
		implied bool
	}{{appTag, true}, {byIndex, false}, {appTag, false}} {
		b.pullRef(t, step.ref)
		if name, kept := b.names.Keeper.Get(byIndex); !kept || name.Implied != step.implied {
			t.Error(fmt.Sprint("after ", step.ref, ": ", name))
		}
	}
}

// TestContainerOfANameIsCreatedFromTheVariant: kubelets send ids, other clients of the CRI
// names, which the runtime does not have.
func TestContainerOfANameIsCreatedFromTheVariant(t *testing.T) {
	t.Parallel()
	b := newCRIOBench(t)
	client := runtimeapi.NewRuntimeServiceClient(b.conn)
	create := func(image, volume string) *runtimeapi.ContainerConfig {
		t.Helper()
		_, err := client.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: "pod", Config: &runtimeapi.ContainerConfig{
			Image:  &runtimeapi.ImageSpec{Image: image, UserSpecifiedImage: image},
			Mounts: []*runtimeapi.Mount{{HostPath: "/host"}, {Image: &runtimeapi.ImageSpec{Image: volume}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		created := b.runtime.Created()
		return created[len(created)-1].GetConfig()
	}
	if got := create(appTag, appTag); got.GetImage().GetImage() != appTag {
		t.Errorf("before the pull: %v", got)
	}
	id := b.pullRef(t, appTag)
	for image, want := range map[string]string{
		appTag: id, b.spell(t, "INDEX"): id, id: id, "registry.example/other:1": "registry.example/other:1",
	} {
		got := create(image, image)
		if got.GetImage().GetImage() != want || got.GetMounts()[1].GetImage().GetImage() != want || got.GetImage().GetUserSpecifiedImage() != image {
			t.Errorf("%s: %v", image, got)
		}
	}
}
