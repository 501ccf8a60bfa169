package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/metadata"

	"github.com/imagefit/imagefit/integration/stack"
)

// mirror is a mirror between nodes as Spegel is one: it serves what the containerds of the
// other nodes have, tags by their image records and the rest by digest.
type mirror struct {
	*httptest.Server
	registry string // that it is a mirror of
	nodes    []*stack.Containerd
}

func startMirror(t *testing.T, registry string, nodes ...*stack.Containerd) *mirror {
	t.Helper()
	m := &mirror{registry: registry, nodes: nodes}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func onNode(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs("containerd-namespace", "k8s.io"))
}

// list lists the images of a node. As Spegel does, it takes a record for an error whose
// name has another digest than its target, and then fails as a whole.
func list(ctx context.Context, node *stack.Containerd) (tags map[string]digest.Digest, err error) {
	records, err := imagesapi.NewImagesClient(node.CRI.Conn()).List(onNode(ctx), &imagesapi.ListImagesRequest{})
	if err != nil {
		return nil, err
	}
	tags = map[string]digest.Digest{}
	for _, image := range records.GetImages() {
		name, target := image.GetName(), digest.Digest(image.GetTarget().GetDigest())
		_, d, byDigest := strings.Cut(name, "@")
		if byDigest && d != target.String() {
			return nil, fmt.Errorf("image %s has the target %s", name, target)
		}
		if !byDigest && !strings.HasPrefix(name, "sha256:") {
			tags[name] = target
		}
	}
	return tags, nil
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	repository, ref, isManifest := strings.Cut(path, "/manifests/")
	if !isManifest {
		repository, ref, _ = strings.Cut(path, "/blobs/")
	}
	for _, node := range m.nodes {
		name := digest.Digest(ref)
		if name.Validate() != nil {
			tags, err := list(r.Context(), node)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			if name = tags[m.registry+"/"+repository+":"+ref]; name == "" {
				continue
			}
		}
		if body, err := contentOf(r.Context(), node, name); err == nil {
			if isManifest {
				w.Header().Set("Content-Type", mediaTypeOf(body))
			}
			w.Header().Set("Docker-Content-Digest", name.String())
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			if r.Method == http.MethodGet {
				_, _ = w.Write(body)
			}
			return
		}
	}
	http.NotFound(w, r)
}

func mediaTypeOf(body []byte) string {
	for _, mediaType := range []string{"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"} {
		if strings.Contains(string(body), `"mediaType":"`+mediaType) {
			return mediaType
		}
	}
	return "application/octet-stream"
}

func contentOf(ctx context.Context, node *stack.Containerd, name digest.Digest) ([]byte, error) {
	stream, err := contentapi.NewContentClient(node.CRI.Conn()).Read(onNode(ctx), &contentapi.ReadContentRequest{Digest: name.String()})
	if err != nil {
		return nil, err
	}
	var body []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		body = append(body, part.GetData()...)
	}
}

// wantListing checks that a node can be listed, and the tags that it has.
func wantListing(t *testing.T, node *stack.Containerd, want map[string]digest.Digest) {
	t.Helper()
	tags, err := list(t.Context(), node)
	if err != nil {
		t.Error(err)
	}
	delete(tags, node.PauseImage)
	if !maps.Equal(tags, want) {
		t.Errorf("the node has the tags %v, want %v", tags, want)
	}
}

// targetOf is what a record points at.
func (f *fit) targetOf(t *testing.T, name string) *types.Descriptor {
	t.Helper()
	record, err := imagesapi.NewImagesClient(f.containerd.CRI.Conn()).Get(onNode(t.Context()), &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return record.GetImage().GetTarget()
}

// TestNodesBehindAPeerMirrorGetWhatIsTheirs has three nodes whose mirrors serve each
// other's content: one without imagefit and two with it. auto finds the mirror. The node
// without imagefit gets the index from its peers, and those with it get their variant,
// also when the registry is gone. Nothing in the records keeps a mirror from listing them.
func TestNodesBehindAPeerMirrorGetWhatIsTheirs(t *testing.T) {
	registry := startRegistry(t)
	plain := startContainerd(t, stack.Options{})
	first := startFitWith(t, startContainerd(t, stack.Options{}), registry, flagsV3, stack.Settings{})
	second := startFitWith(t, startContainerd(t, stack.Options{}), registry, flagsV3, stack.Settings{})
	nodes := []*stack.Containerd{plain, first.containerd, second.containerd}
	for i, node := range nodes {
		others := []*stack.Containerd{nodes[(i+1)%3], nodes[(i+2)%3]}
		m := startMirror(t, registry.Host, others...)
		hosts := fmt.Sprintf("server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", "http://"+registry.Host, m.URL)
		if err := node.WriteHosts(registry.Host, hosts); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []*fit{first, second} { // which began without a mirror
		if err := f.Proxy.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(f.proxyLog(t), "names of images have another keeper now"); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the mirror was not found")
			}
		}
	}
	repo, index, manifests := first.push(t, "app", variants("amd64", "amd64/v3")...)
	ref, byIndex := repo.Ref("1"), repo.DigestRef(index)

	id := first.pull(t, ref)
	wantID(t, first.cri, id, ref, byIndex)
	first.wantRuns(t, ref, id, "amd64/v3")
	wantListing(t, first.containerd, nil)
	for _, name := range []digest.Digest{index.Digest, manifests[1].Digest} {
		if _, err := contentOf(t.Context(), first.containerd, name); err != nil {
			t.Errorf("peers cannot fetch %s: %v", name, err)
		}
	}

	plainID, err := plain.CRI.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if plainID == id {
		t.Error("the node without imagefit was given the variant of another")
	}
	wantListing(t, plain, map[string]digest.Digest{ref: index.Digest})

	defer registry.Inject(stack.Fault{Status: 503})()
	for _, pulled := range []string{ref, byIndex} {
		if got := second.pull(t, pulled); got != id {
			t.Errorf("without the registry %s is %s, want %s", pulled, got, id)
		}
		wantID(t, second.cri, id, pulled, byIndex)
	}
	second.wantRuns(t, ref, id, "amd64/v3")
	if got := first.pull(t, ref); got != id { // what it has by now, by what its peers say
		t.Errorf("another pull without the registry is %s, want %s", got, id)
	}
	for _, f := range []*fit{first, second} {
		wantListing(t, f.containerd, nil)
	}
}

// TestIndexIsKeptForPeersAsLongAsTheImage: what the proxy wrote for others is no garbage
// while the image is there, and is when it is gone.
func TestIndexIsKeptForPeersAsLongAsTheImage(t *testing.T) {
	f := startFit(t, flagsV3, keptBy("proxy"))
	repo, index, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	id := f.pull(t, repo.Ref("1"))
	for _, there := range []bool{true, false} {
		if !there {
			if err := f.cri.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		other, _, _ := f.push(t, fmt.Sprintf("other-%t", there), variants("amd64")...)
		if err := f.cri.Remove(t.Context(), f.pull(t, other.Ref("1"))); err != nil { // which collects garbage
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			_, err := contentOf(t.Context(), f.containerd, index.Digest)
			if found := err == nil; found == there {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the index can be read: %t, want %t: %v", !there, there, err)
			}
		}
	}
}

// TestRecordsOfEarlierVersionsBecomeNames starts on a node where the name by the digest of
// an index is a record on the variant, as versions before wrote it.
func TestRecordsOfEarlierVersionsBecomeNames(t *testing.T) {
	for _, keeper := range []string{"runtime", "proxy"} {
		t.Run(keeper, func(t *testing.T) {
			f := startFit(t, flagsV3, keptBy(keeper))
			repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
			id, err := f.containerd.CRI.Pull(t.Context(), repo.DigestRef(manifests[1]), stack.PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Proxy.Stop(drainTime); err != nil {
				t.Fatal(err)
			}
			names := []string{repo.Ref("1"), repo.DigestRef(index)}
			for _, name := range names {
				record := &imagesapi.Image{Name: name, Target: f.targetOf(t, repo.DigestRef(manifests[1])), Labels: map[string]string{
					"io.cri-containerd.image": "managed", labelIndex: index.Digest.String(), labelManifest: manifests[1].Digest.String(),
				}}
				if _, err := imagesapi.NewImagesClient(f.containerd.CRI.Conn()).Create(onNode(t.Context()), &imagesapi.CreateImageRequest{Image: record}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := list(t.Context(), f.containerd); err == nil {
				t.Error("the records are true")
			}
			if err := f.StartProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer f.registry.Inject(stack.Fault{Status: 503})()
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				wantID(t, f.cri, id, names...)
				tags, err := list(t.Context(), f.containerd)
				if err == nil && (len(tags) == 1) == (keeper == "proxy") { // of the pause image
					break
				}
				if t.Failed() || time.Now().After(deadline) {
					t.Fatalf("tags %v, %v", tags, err)
				}
			}
		})
	}
}
