package imagefit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
)

// pinned is a version that a go.mod fixes.
type pinned struct {
	name, file, module, role string
}

func allPinned() []pinned {
	const (
		peers       = "integration/peers/"
		containerd2 = "github.com/containerd/containerd/v2"
		nri         = "github.com/containerd/nri"
		onRequest   = "older runtime, core tests on request"
	)
	return []pinned{
		{"containerd", peers + "containerd/go.mod", containerd2, "runtime, all tests and the demo"},
		{"NRI in it", peers + "containerd/go.mod", nri, ""},
		{"containerd", peers + "containerd17/go.mod", "github.com/containerd/containerd", "older runtime, core tests"},
		{"NRI in it", peers + "containerd17/go.mod", nri, ""},
		{"containerd", peers + "containerd20/go.mod", containerd2, onRequest},
		{"NRI in it", peers + "containerd20/go.mod", nri, ""},
		{"containerd", peers + "containerd21/go.mod", containerd2, onRequest},
		{"NRI in it", peers + "containerd21/go.mod", nri, ""},
		{"containerd", peers + "containerd22/go.mod", containerd2, onRequest},
		{"NRI in it", peers + "containerd22/go.mod", nri, ""},
		{"containerd", peers + "containerd23/go.mod", containerd2, onRequest},
		{"NRI in it", peers + "containerd23/go.mod", nri, ""},
		{"runc", peers + "runc/go.mod", "github.com/opencontainers/runc", "under all of them"},
		{"kubelet", peers + "kubernetes/go.mod", "k8s.io/kubernetes", "standalone, both ways to point it at the proxy"},
		{"Kubernetes control plane", peers + "kubernetes/go.mod", "k8s.io/kubernetes", "API server and scheduler, tests of imagefit-controller"},
		{"etcd", peers + "etcd/go.mod", "go.etcd.io/etcd/server/v3", "under the control plane"},
		{"distribution", peers + "registry/go.mod", "github.com/distribution/distribution/v3", "registry without the referrers API"},
		{"crane", peers + "imagetools/go.mod", "github.com/google/go-containerregistry", "makes indexes"},
		{"ko", peers + "imagetools/go.mod", "github.com/google/ko", "makes indexes"},
		{"oras", peers + "imagetools/go.mod", "oras.land/oras", "makes indexes"},
		{"regctl", peers + "imagetools/go.mod", "github.com/regclient/regclient", "makes indexes"},
		{"ociregistry", "integration/go.mod", "cuelabs.dev/go/oci/ociregistry", "registry with the referrers API"},
		{"go-containerregistry", "integration/go.mod", "github.com/google/go-containerregistry", "registry that ignores the artifact type filter"},
		{"CRI API", "go.mod", "k8s.io/cri-api", "library of cri-proxy"},
		{"NRI", "go.mod", nri, "library of nri-plugin"},
		{"containerd", "go.mod", containerd2, "library: hosts.toml, registry authentication"},
		{"oras-go", "go.mod", "oras.land/oras-go/v2", "library: registries"},
	}
}

// version returns what the file requires of the module.
func (p pinned) version() (string, error) {
	content, err := os.ReadFile(p.file)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(p.module) + ` (v\S+)`).FindSubmatch(content)
	if found == nil {
		return "", fmt.Errorf("%s does not require %s", p.file, p.module)
	}
	return strings.TrimPrefix(string(found[1]), "v"), nil
}

func compatibilityTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| program or library | version | pinned in | |\n|---|---|---|---|\n")
	for _, p := range allPinned() {
		version, err := p.version()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "| %s | %s | [%s](../%s) | %s |\n", p.name, version, filepath.ToSlash(p.file), p.file, p.role)
	}
	return b.String()
}

func TestCompatibilityTableIsUpToDate(t *testing.T) {
	t.Parallel()
	golden.Part(t, "docs/compatibility.md", "<!-- begin generated -->\n", "<!-- end generated -->\n", compatibilityTable(t))
}

// TestEveryPeerIsInTheCompatibilityTable fails where a program is tested and the
// table lacks it.
func TestEveryPeerIsInTheCompatibilityTable(t *testing.T) {
	t.Parallel()
	peers, err := filepath.Glob("integration/peers/*/go.mod")
	if err != nil || len(peers) == 0 {
		t.Fatalf("no peers: %v", err)
	}
	listed := map[string]bool{}
	for _, p := range allPinned() {
		listed[p.file] = true
	}
	for _, peer := range peers {
		if !listed[filepath.ToSlash(peer)] {
			t.Errorf("%s is not in the table of compatibility_test.go", peer)
		}
	}
}
