package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/critest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/fakeruntime"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

// imagesNode is a node whose runtime listens at DIR/runtime and whose proxy would at
// DIR/listen.
func imagesNode(t *testing.T) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	config = filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("version = 1\nstate_dir = %q\nproxy.listen = %q\nruntime.endpoint = %q\n",
		filepath.Join(dir, "state"), "unix://"+filepath.Join(dir, "listen"), "unix://"+filepath.Join(dir, "runtime"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, config
}

// serveRuntime serves containerd at a socket.
func serveRuntime(t *testing.T, socket string, runtime *fakeruntime.Runtime) {
	t.Helper()
	server := grpc.NewServer()
	runtime.Register(server)
	critest.Serve(t, socket, server)
}

// listed runs imagefit images -o json and returns the images by name.
func listed(t *testing.T, args ...string) (imageList, map[string]nodeImage) {
	t.Helper()
	got := tool(t, "", append([]string{"images", "-o", "json"}, args...)...)
	if got.err != nil && !errors.As(got.err, new(cli.ExitError)) {
		t.Fatal(got.err)
	}
	var list imageList
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	byName := map[string]nodeImage{}
	for _, i := range list.Images {
		byName[i.Name] = i
	}
	return list, byName
}

// containerdNode is a node with three images: one that cri-proxy chose and that both keep
// names of, one that containerd pulled from an index, and a single one.
type containerdNode struct {
	dir, config   string
	runtime       *fakeruntime.Runtime
	index, chosen ocispec.Descriptor
	tag, byIndex  string
	other, single string
	chosenID      string
	since         time.Time
}

func newContainerdNode(t *testing.T) *containerdNode {
	t.Helper()
	n := &containerdNode{since: time.Now().Add(-3 * time.Hour).UTC().Truncate(time.Second)}
	n.dir, n.config = imagesNode(t)
	reg := fakeregistry.New(t, fakeregistry.Options{})
	n.runtime = fakeruntime.New(reg)
	n.runtime.Delay = 0
	app := reg.In("app")
	n.chosen = app.Image("linux/amd64/v3", "v3")
	n.index = app.Index("1", app.Image("linux/amd64", "v1"), n.chosen)
	n.chosenID = fakeregistry.ImageID("linux/amd64/v3", "v3")
	n.tag, n.byIndex = app.Reference(":1"), app.Reference("@"+n.index.Digest.String())
	n.other, n.single = reg.In("other").Reference(":1"), reg.In("single").Reference(":1")
	reg.In("other").Index("1", reg.In("other").Image("linux/arm64", "first"), reg.In("other").Image("linux/amd64", "second"))
	reg.In("single").Image("linux/amd64", "single", "1")
	for _, ref := range []string{app.Reference("@" + n.chosen.Digest.String()), n.other, n.single} {
		_, err := runtimeapi.NewImageServiceClient(n.runtime.Conn()).PullImage(t.Context(),
			&runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
		if err != nil {
			t.Fatal(err)
		}
	}
	n.runtime.Write(&imagesapi.Image{
		Name: n.tag, Target: &types.Descriptor{Digest: n.chosen.Digest.String()}, UpdatedAt: timestamppb.New(n.since),
		Labels: map[string]string{"imagefit.io/index": n.index.Digest.String(), "imagefit.io/manifest": n.chosen.Digest.String()},
	})
	err := images.Names{Store: images.New(n.runtime.Conn(), "k8s.io")}.Save(t.Context(), names.Name{
		Reference: n.byIndex, ImageID: n.chosenID, Manifest: n.chosen.Digest, Index: n.index.Digest,
		Since: n.since, Namespace: "shop", Pod: "web-0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestImagesOfContainerd(t *testing.T) {
	t.Parallel()
	n := newContainerdNode(t)
	keep(t, n.dir,
		decisionlog.Record{Time: n.since, Program: "cri-proxy", Action: policy.Pulled, Reference: n.tag, Image: n.chosenID,
			Manifest: n.chosen.Digest.String(), Choice: "linux/amd64/v3@label", Namespace: "shop", Pod: "web-1"},
		decisionlog.Record{Time: n.since, Program: "cri-proxy", Action: policy.Pulled, Reference: n.tag, Image: "sha256:before", Pod: "before"},
		decisionlog.Record{Time: n.since, Program: "nri-plugin", Action: policy.Admitted, Reference: n.tag, Image: n.chosenID, Pod: "admitted"},
	)
	serveRuntime(t, filepath.Join(n.dir, "runtime"), n.runtime)
	writes := n.runtime.Writes()
	list, got := listed(t, "--config", n.config)
	if list.Source != "unix://"+filepath.Join(n.dir, "runtime") || len(list.Problems) != 1 || !strings.Contains(list.Problems[0], "proxy.listen") {
		t.Errorf("from %s with %q", list.Source, list.Problems)
	}
	byManifest := strings.Split(n.byIndex, "@")[0] + "@" + n.chosen.Digest.String()
	for name, want := range map[string]nodeImage{
		n.tag: {Variant: "linux/amd64/v3@label", Manifest: n.chosen.Digest, Index: n.index.Digest, Since: &n.since,
			KeptBy: "runtime", Namespace: "shop", Pod: "web-1"},
		n.byIndex: {Variant: "linux/amd64/v3@label", Manifest: n.chosen.Digest, Index: n.index.Digest, Since: &n.since,
			KeptBy: "proxy", Namespace: "shop", Pod: "web-0"},
		byManifest: {Variant: "linux/amd64/v3@label", Manifest: n.chosen.Digest, Index: n.index.Digest, Since: &n.since,
			KeptBy: "runtime", Namespace: "shop", Pod: "web-1"},
	} {
		want.Name, want.ImageID = name, n.chosenID
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("got  %+v\nwant %+v", got[name], want)
		}
	}
	for name, variant := range map[string]string{n.other: "linux/arm64", n.single: "linux/amd64"} {
		if i := got[name]; i.Variant != variant || i.Manifest == "" || i.KeptBy != "runtime" || i.Pod != "" || (i.Index != "") != (name == n.other) {
			t.Errorf("%s is %+v", name, i)
		}
	}
	if !reflect.DeepEqual(n.runtime.Writes(), writes) {
		t.Errorf("records were written: %q", n.runtime.Writes())
	}
}

// TestImagesAreListedAsTheKubeletSeesThem asks the proxy first, and shows a table.
func TestImagesAreListedAsTheKubeletSeesThem(t *testing.T) {
	t.Parallel()
	n := newContainerdNode(t)
	serveRuntime(t, filepath.Join(n.dir, "runtime"), n.runtime)
	critest.Start(t, filepath.Join(n.dir, "listen"), showing(n.chosenID, n.tag, n.byIndex))
	list, got := listed(t, "--config", n.config)
	if list.Source != "unix://"+filepath.Join(n.dir, "listen") || len(got) != 2 || got[n.tag].Variant != "linux/amd64/v3" {
		t.Errorf("from %s: %+v", list.Source, list.Images)
	}
	for name, want := range map[string][]string{
		n.tag:                            {n.tag},
		"absent:1":                       nil,
		n.chosenID:                       {n.tag, n.byIndex},
		n.chosen.Digest.String():         {n.tag, n.byIndex},
		strings.TrimSuffix(n.tag, ":1"):  {n.tag, n.byIndex},
		strings.TrimSuffix(n.tag, "p:1"): nil,
	} {
		got := tool(t, "", "images", "--config", n.config, name)
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")[1:]
		if len(lines) != len(want) || (got.err != nil) != (want == nil) {
			t.Errorf("%s: %v, %q", name, got.err, lines)
		}
		if want == nil {
			wantError(t, got.err, "no image with the name "+name, "imagefit images lists all names")
		}
		for _, line := range lines {
			if !strings.Contains(line, "linux/amd64/v3   "+n.chosen.Digest.String()[:19]+"   3h0m    ") || !strings.Contains(line, "   shop/web-0") {
				t.Errorf("%s: %q", name, line)
			}
		}
		if !strings.Contains(got.stderr, "imagefit: the decision log in ") {
			t.Errorf("stderr %q", got.stderr)
		}
	}
}

// showing is a runtime that shows one image and has nothing else.
func showing(id, tag string, digests ...string) *critest.Runtime {
	return &critest.Runtime{OnImages: func(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
		return &runtimeapi.ListImagesResponse{Images: []*runtimeapi.Image{{Id: id, RepoTags: []string{tag}, RepoDigests: digests}}}, nil
	}}
}

// TestImagesOfOtherRuntimes has names in files, and variants from the decision log alone.
func TestImagesOfOtherRuntimes(t *testing.T) {
	t.Parallel()
	dir, config := imagesNode(t)
	manifest, gone := digest.FromString("manifest"), digest.FromString("gone")
	since := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	store := names.Files{Folder: filepath.Join(dir, "state", "names")}
	for ref, id := range map[string]string{"registry.example/app:1": "one", "registry.example/gone:1": gone.String()} {
		err := store.Save(t.Context(), names.Name{Reference: ref, ImageID: id, Manifest: manifest, Since: since, Namespace: "shop", Pod: "web-0"})
		if err != nil {
			t.Fatal(err)
		}
	}
	keep(t, dir, decisionlog.Record{Time: since, Program: "cri-proxy", Action: policy.Pulled, Reference: "registry.example/app:1", Image: "one",
		Manifest: manifest.String(), Choice: "linux/amd64/v3", Namespace: "shop", Pod: "later"})
	byDigest := "registry.example/app@" + manifest.String()
	want := map[string]nodeImage{
		"registry.example/app:1": {Name: "registry.example/app:1", ImageID: "one", Variant: "linux/amd64/v3", Manifest: manifest,
			Since: &since, KeptBy: "proxy", Namespace: "shop", Pod: "web-0"},
		byDigest: {Name: byDigest, ImageID: "one", Variant: "linux/amd64/v3", Manifest: manifest,
			Since: &since, KeptBy: "runtime", Namespace: "shop", Pod: "later"},
		"short": {Name: "short", ImageID: "one", KeptBy: "runtime"},
	}
	stop := critest.Start(t, filepath.Join(dir, "runtime"), showing("one", "short", byDigest))
	if list, got := listed(t, "--config", config); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", list, want)
	}
	stop()
	delete(want, byDigest)
	delete(want, "short")
	list, got := listed(t, "--config", config)
	if len(got) != 2 || !reflect.DeepEqual(got["registry.example/app:1"], want["registry.example/app:1"]) || list.Source != "" || len(list.Problems) < 2 {
		t.Errorf("without a runtime: %+v", list)
	}
}

func TestImagesWithoutAnySourceSaysWhatWasTried(t *testing.T) {
	t.Parallel()
	dir, config := imagesNode(t)
	got := tool(t, "", "images", "--config", config)
	wantError(t, got.err, "cannot list the images of this node", filepath.Join(dir, "listen"), "proxy.listen", filepath.Join(dir, "runtime"),
		"runtime.endpoint", "no such file", "imagefit config check --live", "the decision log in "+filepath.Join(dir, "state"))
	if got.stdout != "" || got.stderr != "" { // nothing is told twice
		t.Errorf("stdout %q, stderr %q", got.stdout, got.stderr)
	}
}

func TestImagesWithoutPermission(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir, config := imagesNode(t)
	critest.Start(t, filepath.Join(dir, "runtime"), showing("one", "registry.example/app:1"))
	if err := errors.Join(os.Chmod(filepath.Join(dir, "runtime"), 0), os.Mkdir(filepath.Join(dir, "state"), 0)); err != nil {
		t.Fatal(err)
	}
	got := tool(t, "", "images", "--config", config)
	wantError(t, got.err, "permission denied: only root may, try sudo imagefit images", "decision log")
}

// TestImagesAreCheckedAtTheRegistry moves a tag after the pull.
func TestImagesAreCheckedAtTheRegistry(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	dir, config := imagesNode(t)
	reg := fakeregistry.New(t, fakeregistry.Options{})
	node := fakeruntime.New(reg)
	reg.Image("linux/"+runtime.GOARCH, "a", "1")
	ref := reg.Reference(":1")
	_, err := runtimeapi.NewImageServiceClient(node.Conn()).PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		t.Fatal(err)
	}
	serveRuntime(t, filepath.Join(dir, "runtime"), node)
	for _, step := range []struct {
		name string
		do   func()
		want string
		code error
	}{
		{"same", func() {}, todaySame, nil},
		{"moved to another image", func() { reg.Image("linux/"+runtime.GOARCH, "b", "1") }, todayNewer, nil},
		{"for another platform", func() { reg.Image("linux/mips", "c", "1") }, todayUnknown, cli.ExitError(4)},
		{"removed", func() { reg.Remove("manifests/1") }, todayUnknown, cli.ExitError(4)},
	} {
		step.do()
		got := tool(t, "", "images", "--config", config, "--check", ref)
		if !errors.Is(got.err, step.code) || !strings.Contains(got.stdout, "TODAY") || !strings.Contains(got.stdout, "   "+step.want) {
			t.Errorf("%s: %v\n%s%s", step.name, got.err, got.stdout, got.stderr)
		}
	}
}

func TestWhatWouldBeChosenToday(t *testing.T) {
	t.Parallel()
	candidates := []decision.Candidate{
		{Digest: "sha256:v1", Platform: "linux/amd64", Outcome: selector.Fits},
		{Digest: "sha256:v3", Platform: "linux/amd64/v3", Outcome: selector.Fits},
	}
	choosing := func(choice, byDefault int) *decision.Decision {
		return &decision.Decision{Index: "sha256:index", Candidates: candidates, Choice: choice, Default: byDefault, Reason: "because"}
	}
	on := func(variant string, manifest digest.Digest) nodeImage {
		return nodeImage{Variant: variant, Manifest: manifest}
	}
	forward, refuse := policy.Answers{NoArtifact: policy.Forward}, policy.Answers{NoArtifact: policy.Refuse}
	for name, test := range map[string]struct {
		image    nodeImage
		decision *decision.Decision
		answers  policy.Answers
		want     string
		code     error
	}{
		"the same":                         {on("linux/amd64/v3", "sha256:v3"), choosing(1, 0), policy.Answers{}, todaySame, nil},
		"another of the index":             {on("linux/amd64", "sha256:v1"), choosing(1, 0), policy.Answers{}, todayOther, cli.ExitError(3)},
		"the same of a newer image":        {on("linux/amd64/v3@sha256:abc", "sha256:old"), choosing(1, 0), policy.Answers{}, todayNewer, nil},
		"another of a newer image":         {on("linux/amd64", "sha256:old"), choosing(1, 0), policy.Answers{}, todayOther, cli.ExitError(3)},
		"the runtime's choice":             {on("linux/amd64", "sha256:v1"), choosing(1, 0), forward, todaySame, nil},
		"the runtime does not choose":      {on("linux/amd64", "sha256:v1"), choosing(1, decision.None), forward, todayUnknown, cli.ExitError(4)},
		"refused":                          {on("linux/amd64", "sha256:v1"), choosing(1, 0), refuse, todayNone, cli.ExitError(3)},
		"nothing fits":                     {on("linux/amd64", "sha256:v1"), choosing(decision.None, 0), policy.Answers{}, todayNone, cli.ExitError(3)},
		"nothing is known of the node's":   {on("", ""), choosing(1, 0), policy.Answers{}, todayUnknown, cli.ExitError(4)},
		"an unknown platform of old times": {on("", "sha256:old"), choosing(1, 0), policy.Answers{}, todayUnknown, cli.ExitError(4)},
	} {
		got := test.image.compare(test.decision, test.answers)
		if got.Outcome != test.want || got.Reason == "" {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
		if code := exitOfChecks([]nodeImage{{Today: &got}, {}}); code != test.code {
			t.Errorf("%s: exit code %v", name, code)
		}
	}
}
