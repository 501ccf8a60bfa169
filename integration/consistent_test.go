package integration

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// Every spelling of a reference must resolve to what was pulled the moment
// PullImage returns, with the user of the image: where it does not, the kubelet
// runs the container as root. It must still do so without the registry, after restarts,
// and, for tags that the runtime keeps, without the proxy. A tag brings the digest of its
// index, as on containerd alone.
func TestEverySpellingOfAReferenceResolvesToWhatWasPulled(t *testing.T) {
	keepers(t, testEverySpelling)
}

func testEverySpelling(t *testing.T, f *fit) {
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	byTag, byIndex, byManifest := repo.Ref("1"), repo.DigestRef(index), repo.DigestRef(manifests[1])
	both := byTag + "@" + index.Digest.String()

	tag := []string{byTag}
	if f.byProxy {
		tag = nil
	}
	tests := []struct {
		name, ref string
		resolves  []string
		recorded  []string // with containerd alone
	}{
		{"by tag", byTag, []string{byTag, byIndex, both, byManifest}, append(tag, byManifest)},
		{"by index digest", byIndex, []string{byIndex, byManifest}, []string{byManifest}},
		{"by tag and index digest", both, []string{both, byIndex, byManifest}, []string{byManifest}},
		{"by manifest digest", byManifest, []string{byManifest}, []string{byManifest}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := f.pull(t, tt.ref)
			defer f.registry.Inject(stack.Fault{Status: 503})()
			wantID(t, f.cri, id, append(tt.resolves, id)...)
			f.wantRuns(t, tt.ref, id, "amd64/v3")
			for _, ref := range tt.resolves {
				f.wantRuns(t, ref, "", "amd64/v3") // of a pod that finds the image
			}
			if err := f.Proxy.Stop(drainTime); err != nil {
				t.Fatal(err)
			}
			wantID(t, f.containerd.CRI, id, append(tt.recorded, id)...)
			if err := f.containerd.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantID(t, f.containerd.CRI, id, append(tt.recorded, id)...)
			if err := f.StartProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantID(t, f.cri, id, append(tt.resolves, id)...)
			if err := f.cri.CleanupPods(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := f.cri.Remove(t.Context(), tt.ref); err != nil {
				t.Fatal(err)
			}
			if left := f.records(t); len(left) != 0 {
				t.Errorf("after removal %s is left", names(left))
			}
		})
	}
}

// What a pod's status shows of a container that runs: the tag, and the digest of
// the index. With us it is the digest of the manifest, which is what containerd has a
// record of, while the image is listed under the digest of the index alone.
func TestContainerStatusShowsTheTagAndADigest(t *testing.T) {
	testContainerStatus(t, startFit(t, flagsV3, keptBy("runtime")))
}

func testContainerStatus(t *testing.T, f *fit) {
	for _, name := range []string{"a", "b", "c", "d"} {
		t.Run(name, func(t *testing.T) {
			images := variants("amd64", "amd64/v3")
			for i := range images {
				images[i].Variant += "-of-" + name
			}
			repo, index, manifests := f.push(t, name, images...)
			wantStatus(t, f.containerd.CRI, repo.Ref("1"), repo.DigestRef(index))
			wantStatus(t, f.cri, repo.Ref("1"), repo.DigestRef(manifests[1]))
			image, err := f.cri.Status(t.Context(), repo.DigestRef(index))
			if got := image.GetRepoDigests(); err == nil || len(got) > 0 {
				t.Errorf("the image is left, with the digests %v", got)
			}
		})
	}
}

// wantStatus pulls and runs a tag, and checks what is shown of it.
func wantStatus(t *testing.T, cri *stack.CRI, tag, digest string) {
	t.Helper()
	id, err := cri.Pull(t.Context(), tag, stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	container, err := cri.RunContainer(t.Context(), tag, stack.PodOptions{ImageRef: id})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := cri.Runtime.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: container})
	if err != nil {
		t.Fatal(err)
	}
	if image, ref := reply.GetStatus().GetImage().GetImage(), reply.GetStatus().GetImageRef(); image != tag || ref != digest {
		t.Errorf("the status shows %s and %s, want %s and %s", image, ref, tag, digest)
	}
	wantID(t, cri, id, digest)
	if err := cri.CleanupPods(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cri.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestRemovingAnImageLeavesNoRecord(t *testing.T) { keepers(t, testRemove) }

func testRemove(t *testing.T, f *fit) {
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	for _, by := range []string{"tag", "id"} {
		t.Run(by, func(t *testing.T) {
			id := f.pull(t, repo.Ref("1"))
			name := map[string]string{"tag": repo.Ref("1"), "id": id}[by]
			if err := f.cri.Remove(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if left := f.records(t); len(left) != 0 {
				t.Errorf("%s is left", names(left))
			}
			again := f.pull(t, repo.Ref("1"))
			wantID(t, f.cri, id, repo.Ref("1"))
			f.wantRuns(t, repo.Ref("1"), again, "amd64/v3")
			if err := f.cri.CleanupPods(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTwoPullsAtOnceReturnTheSameImage(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	ids := make([]string, 8)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			id, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
			if err != nil {
				t.Errorf("pull %d: %v", i, err)
			}
			image, err := f.cri.Status(t.Context(), repo.Ref("1"))
			if err != nil || image.GetId() != id {
				t.Errorf("pull %d returned %s, the status says %s, %v", i, id, image.GetId(), err)
			}
			ids[i] = id
		})
	}
	group.Wait()
	f.wantRuns(t, repo.Ref("1"), ids[0], "amd64/v3")
}

func TestTagThatMovesResolvesToTheNewImage(t *testing.T) { keepers(t, testTagMoves) }

func testTagMoves(t *testing.T, f *fit) {
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	first := f.pull(t, repo.Ref("1"))

	newer := variants("amd64", "amd64/v3")
	newer[1].Variant = "amd64/v3-newer"
	_, index, err := repo.PushIndex(t.Context(), "1", newer...)
	if err != nil {
		t.Fatal(err)
	}
	second := f.pull(t, repo.Ref("1"))
	if second == first {
		t.Fatal("the second pull did not see that the tag moved")
	}
	wantID(t, f.cri, second, repo.Ref("1"), repo.DigestRef(index[1]))
	f.wantRuns(t, repo.Ref("1"), second, "amd64/v3-newer")

	// Behind our back, as crictl or kubeadm would: the runtime's own choice.
	plain, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if f.byProxy { // the name is its own
		plain = second
	}
	wantID(t, f.cri, plain, repo.Ref("1"))
	if again := f.pull(t, repo.Ref("1")); again != second {
		t.Errorf("a pull through the proxy gives %s again, want %s", again, second)
	}
	wantID(t, f.cri, second, repo.Ref("1"))
}

// A pull without a choice reaches the runtime byte for byte, unknown fields included.
func TestPullWithoutAChoiceIsForwardedByteForByte(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	recorder := startRecorder(t, containerd, "recorder", containerd.Socket)
	f := startFitWith(t, containerd, registry, flagsV2, stack.Settings{Runtime: recorder.socket})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	single, err := repo.PushImage(t.Context(), "single", variants("amd64")[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, ref := range map[string]string{
		"the choice is the runtime's": repo.Ref("1"),
		"by index digest":             repo.DigestRef(index),
		"by manifest digest":          repo.DigestRef(manifests[0]),
		"a single manifest":           repo.Ref("single"),
		"its digest":                  repo.DigestRef(single),
	} {
		t.Run(name, func(t *testing.T) {
			request := oddRequest(t, ref)
			id := pullRaw(t, f.cri, request)
			got := recorder.pulls()
			if len(got) != 1 || !bytes.Equal(got[0], request) {
				t.Errorf("the runtime got %d pulls, %q\nwant %q", len(got), got, request)
			}
			wantID(t, f.cri, id, ref)
		})
	}
}

func TestRewrittenPullKeepsAllOtherFields(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	recorder := startRecorder(t, containerd, "recorder", containerd.Socket)
	f := startFitWith(t, containerd, registry, flagsV3, stack.Settings{Runtime: recorder.socket})
	repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	var want, got runtimeapi.PullImageRequest
	request := oddRequest(t, repo.Ref("1"))
	pullRaw(t, f.cri, request)
	pulls := recorder.pulls()
	if len(pulls) != 1 {
		t.Fatalf("the runtime got %d pulls, want 1", len(pulls))
	}
	if err := proto.Unmarshal(request, &want); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(pulls[0], &got); err != nil {
		t.Fatal(err)
	}
	want.Image.Image = repo.DigestRef(manifests[1])
	if !proto.Equal(&want, &got) {
		t.Errorf("the runtime got\n%v\nwant\n%v", &got, &want)
	}
}

// oddRequest is a pull whose bytes no encoder of ours would write: an unknown
// field first, fields out of order.
func oddRequest(t *testing.T, ref string) []byte {
	t.Helper()
	usual, err := proto.Marshal(&runtimeapi.PullImageRequest{
		SandboxConfig: &runtimeapi.PodSandboxConfig{
			Metadata:    &runtimeapi.PodSandboxMetadata{Name: "pod", Namespace: "default", Uid: "1"},
			Annotations: map[string]string{"b": "2", "a": "1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	image, err := proto.Marshal(&runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{
		Image: ref, UserSpecifiedImage: ref, Annotations: map[string]string{"pod": strings.Repeat("x", 2000)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	odd := protowire.AppendTag(nil, 1999, protowire.BytesType)
	odd = protowire.AppendString(odd, "a field from the future")
	return append(append(odd, usual...), image...)
}
