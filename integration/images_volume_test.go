package integration

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// An image that was chosen for a node can be mounted as a volume, by the id that
// the kubelet uses, as well as by the names that containerd has for it.
func TestChosenImageIsMountedAsAVolume(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	images := variants("amd64", "amd64/v3")
	for i := range images {
		images[i].OwnLayer = true
	}
	repo, index, manifests := f.push(t, "volume", images...)
	main, _, _ := f.push(t, "main", variants("amd64")...)
	byManifest := repo.DigestRef(manifests[1])
	for ref, recorded := range map[string]string{repo.Ref("1"): repo.Ref("1"), repo.DigestRef(index): byManifest, byManifest: byManifest} {
		id := f.pull(t, ref)
		mainID := f.pull(t, main.Ref("1"))
		var mounts []*runtimeapi.Mount
		for path, name := range map[string]string{"/by-id": id, "/as-recorded": recorded} {
			spec := &runtimeapi.ImageSpec{Image: name, UserSpecifiedImage: ref}
			mounts = append(mounts, &runtimeapi.Mount{ContainerPath: path, Readonly: true, Image: spec})
		}
		container, err := f.cri.RunContainer(t.Context(), main.Ref("1"), stack.PodOptions{ImageRef: mainID, Mounts: mounts})
		if err != nil {
			t.Fatalf("mount %s: %v", ref, err)
		}
		for _, mount := range mounts {
			if got := f.readIn(t, container, mount.ContainerPath+"/variant"); got != "amd64/v3" {
				t.Errorf("%s mounted at %s is of the variant %q, want amd64/v3", ref, mount.ContainerPath, got)
			}
		}
		if err := f.cri.CleanupPods(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := f.cri.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

// readIn reads a file as a running container sees it.
func (f *fit) readIn(t *testing.T, container, path string) string {
	t.Helper()
	reply, err := f.cri.Runtime.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: container, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Pid int }
	if err := json.Unmarshal([]byte(reply.GetInfo()["info"]), &info); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", info.Pid, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a kubelet says of an image beside its name reaches the runtime, whatever
// becomes of the name.
func TestAllFieldsOfAnImageSpecReachTheRuntime(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	recorder := startRecorder(t, containerd, "recorder", containerd.Socket)
	f := startFitWith(t, containerd, registry, flagsV3, stack.Settings{Runtime: recorder.socket})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	for _, ref := range []string{repo.Ref("1"), repo.DigestRef(index), repo.Ref("1") + "@" + index.Digest.String(), repo.DigestRef(manifests[1])} {
		spec := &runtimeapi.ImageSpec{
			Image: ref, UserSpecifiedImage: ref, RuntimeHandler: "runc",
			Annotations: map[string]string{"example.com/pod": "yes"},
		}
		recorder.take()
		pulled, err := f.cri.Image.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: spec})
		if err != nil {
			t.Fatal(err)
		}
		want := proto.CloneOf(spec)
		want.Image = repo.DigestRef(manifests[1])
		for _, call := range recorder.take() {
			if call.method != "PullImage" {
				continue
			}
			var got runtimeapi.PullImageRequest
			if err := proto.Unmarshal(call.request, &got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got.GetImage(), want) {
				t.Errorf("pull of %s: the runtime got\n%v\nwant\n%v", ref, got.GetImage(), want)
			}
		}
		reply, err := f.cri.Image.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: spec})
		if err != nil || reply.GetImage().GetId() != pulled.GetImageRef() {
			t.Errorf("status of %s: %v, %v, want %s", ref, reply, err, pulled.GetImageRef())
		}
	}
}

// What is pulled like an image but is an artifact gets the runtime's own answer, even if
// that is an error.
func TestArtifactsThatAreNotImagesGetTheRuntimesAnswer(t *testing.T) {
	testArtifactsPass(t, startFit(t, flagsV3, stack.Settings{}))
}

func testArtifactsPass(t *testing.T, f *fit) {
	const helmConfig, helmChart = "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	empty := ocispec.MediaTypeEmptyJSON
	for name, push := range map[string]func(*testing.T, *stack.Repo) ocispec.Descriptor{
		"a helm chart": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			return artifact(t, repo, "1", "", helmConfig, `{"name":"chart","version":"1.0.0"}`, helmChart)
		},
		"an artifact": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			return artifact(t, repo, "1", "application/vnd.example.model", empty, `{}`, "application/vnd.example.weights")
		},
		"an artifact with no layer": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			return artifact(t, repo, "1", "application/vnd.example.note", empty, `{}`)
		},
		"an artifact of tar layers": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			return artifact(t, repo, "1", "application/vnd.example.files", empty, `{}`, ocispec.MediaTypeImageLayer)
		},
		"an image with an artifact's type": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			return artifact(t, repo, "1", "application/vnd.example.thing", ocispec.MediaTypeImageConfig,
				`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`)
		},
		"an index of artifacts": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			entry := artifact(t, repo, "", "application/vnd.example.model", empty, `{}`, "application/vnd.example.weights")
			return indexOf(t, repo, entry)
		},
		"an index of artifacts for this platform": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			entry := artifact(t, repo, "", "application/vnd.example.model", empty, `{}`, "application/vnd.example.weights")
			entry.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
			return indexOf(t, repo, entry)
		},
		"an index of nothing": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor { return indexOf(t, repo) },
		"a manifest of a type unknown": func(t *testing.T, repo *stack.Repo) ocispec.Descriptor {
			desc, err := repo.PushManifest(t.Context(), "1", "application/vnd.example.manifest+json", []byte(`{"schemaVersion":2}`))
			if err != nil {
				t.Fatal(err)
			}
			return desc
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := f.registry.Repo("artifact-" + strings.ToLower(rand.Text()[:8]))
			desc := push(t, repo)
			for _, ref := range []string{repo.Ref("1"), repo.DigestRef(desc)} {
				want, got := pullText(t, f.containerd.CRI, ref), pullText(t, f.cri, ref)
				if got != want {
					t.Errorf("the answer is\n%s\nwithout us it is\n%s", got, want)
				}
			}
		})
	}
}

// pullText is the answer to a pull, and what the image is then, as text. The image
// is removed again.
func pullText(t *testing.T, cri *stack.CRI, ref string) string {
	t.Helper()
	id, err := cri.Pull(t.Context(), ref, stack.PullOptions{})
	image, statusErr := cri.Status(t.Context(), ref)
	text := fmt.Sprint(id, " ", status.Convert(err).Proto(), " ", image, " ", statusErr)
	if err := cri.Remove(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(text), " ") // a message's text has spaces at random
}

// artifact pushes a manifest with a config of that type and a layer of each type.
func artifact(t *testing.T, repo *stack.Repo, tag, artifactType, configType, config string, layers ...string) ocispec.Descriptor {
	t.Helper()
	blob := func(mediaType, body string) ocispec.Descriptor {
		desc, err := repo.PushBlob(t.Context(), mediaType, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return desc
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: blob(configType, config), Layers: []ocispec.Descriptor{},
	}
	for _, layer := range layers {
		manifest.Layers = append(manifest.Layers, blob(layer, "what "+layer+" holds"))
	}
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := repo.PushManifest(t.Context(), tag, ocispec.MediaTypeImageManifest, body)
	if err != nil {
		t.Fatal(err)
	}
	desc.ArtifactType = artifactType
	return desc
}

func indexOf(t *testing.T, repo *stack.Repo, entries ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	index, err := repo.PushIndexOf(t.Context(), "1", entries...)
	if err != nil {
		t.Fatal(err)
	}
	return index
}
