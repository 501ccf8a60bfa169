package integration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// The tests here prove the stack itself, with no imagefit in it: what containerd
// does on its own is what the proxy's tests compare with.

func amd64(variant string) ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: variant}
}

func pushPair(t *testing.T, registry *stack.Registry) (ref string, index ocispec.Descriptor, manifests []ocispec.Descriptor, repo *stack.Repo) {
	t.Helper()
	repo = registry.Repo("demo/app")
	index, manifests, err := repo.PushIndex(t.Context(), "1",
		stack.Image{Variant: "plain", Platform: amd64(""), User: "1000", Attested: true},
		stack.Image{Variant: "v3", Platform: amd64("v3"), User: "1000"})
	if err != nil {
		t.Fatal(err)
	}
	return repo.Ref("1"), index, manifests, repo
}

func TestPlainContainerdTakesTheFirstEntry(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref, index, manifests, repo := pushPair(t, registry)
	cri := containerd.CRI

	byTag, err := cri.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantOutput(t, cri, ref, stack.PodOptions{ImageRef: byTag}, "variant=plain uid=1000")
	records, err := containerd.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if records[ref] != index.Digest || records[byTag] != index.Digest {
		t.Errorf("records %v: want %s and %s at the index %s", records, ref, byTag, index.Digest)
	}

	byDigest, err := cri.Pull(t.Context(), repo.DigestRef(manifests[1]), stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantOutput(t, cri, repo.DigestRef(manifests[1]), stack.PodOptions{ImageRef: byDigest}, "variant=v3 uid=1000")
}

// A reference that does not resolve is run as root by the kubelet; the client of
// the stack has to do the same, or it would hide the proxy's worst mistake.
func TestUnresolvedReferenceRunsAsRoot(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref, _, manifests, repo := pushPair(t, registry)
	id, err := containerd.CRI.Pull(t.Context(), repo.DigestRef(manifests[1]), stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := containerd.CRI.Status(t.Context(), ref); !errors.Is(err, stack.ErrNoImage) {
		t.Fatalf("status of %s: %v, want ErrNoImage", ref, err)
	}
	wantOutput(t, containerd.CRI, ref, stack.PodOptions{ImageRef: id}, "variant=v3 uid=0")
}

func TestContainerSurvivesAKilledContainerd(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref, _, _, _ := pushPair(t, registry)
	if _, err := containerd.CRI.Pull(t.Context(), ref, stack.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	before := wantOutput(t, containerd.CRI, ref, stack.PodOptions{}, "variant=plain uid=1000")
	if err := containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := containerd.CRI.List(t.Context()); err == nil {
		t.Error("a killed containerd answered")
	}
	if err := containerd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := containerd.CRI.WaitOutput(t.Context(), before); err != nil || out == "" {
		t.Errorf("the container is lost after the restart: %q, %v", out, err)
	}
	wantOutput(t, containerd.CRI, ref, stack.PodOptions{}, "variant=plain uid=1000")
}

func TestStopLeavesNothing(t *testing.T) { testStopLeavesNothing(t, stack.Containerd24) }

func testStopLeavesNothing(t *testing.T, version string) {
	tests := map[string]func(t *testing.T, c *stack.Containerd){
		"pods removed by CRI": func(*testing.T, *stack.Containerd) {},
		"containerd killed, shims and containers alive": func(t *testing.T, c *stack.Containerd) {
			if err := c.Kill(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, interfere := range tests {
		t.Run(name, func(t *testing.T) {
			containerd, registry := startContainerd(t, stack.Options{Version: version}), startRegistry(t)
			ref, _, _, _ := pushPair(t, registry)
			if _, err := containerd.CRI.Pull(t.Context(), ref, stack.PullOptions{}); err != nil {
				t.Fatal(err)
			}
			wantOutput(t, containerd.CRI, ref, stack.PodOptions{}, "variant=plain uid=1000")
			wantLeftovers(t, containerd.Dir, "containerd-shim-runc-v2", "/workload hold", "mount ", "cgroup ", "folder ")
			wantNothingOutside(t, containerd.Dir, version)
			interfere(t, containerd)
			if err := containerd.Stop(); err != nil {
				t.Error(err)
			}
			if left := stack.Leftovers(containerd.Dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// wantOutput runs a container and waits for its line.
func wantOutput(t *testing.T, cri *stack.CRI, ref string, opts stack.PodOptions, want string) (id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	id, err := cri.RunContainer(ctx, ref, opts)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cri.WaitOutput(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if out != want {
		t.Errorf("container of %s wrote %q, want %q", ref, out, want)
	}
	return id
}

// wantLeftovers proves that Leftovers sees what a running pod is made of; else
// its silence after Stop would prove nothing.
func wantLeftovers(t *testing.T, dir string, parts ...string) {
	t.Helper()
	left := strings.Join(stack.Leftovers(dir), "\n")
	for _, part := range parts {
		if !strings.Contains(left, part) {
			t.Errorf("leftovers of a running pod do not show %q:\n%s", part, left)
		}
	}
}

func TestPeersAreAllThere(t *testing.T) {
	requireStack(t)
	dir, err := stack.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	programs := []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "registry", "workload"}
	if !testing.Short() {
		programs = append(programs, "containerd17/containerd", "containerd17/containerd-shim-runc-v2", "containerd17/ctr", "kubelet", "prometheus", "promtool")
	}
	for _, name := range programs {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s in %s: %v", name, dir, err)
		}
	}
}
