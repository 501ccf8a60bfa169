// Package catalogtest has a registry of images with known answers, and the tests that every
// database of a catalog passes.
package catalogtest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
)

// F is a body of Proposal F: groups, each with its attributes.
func F(groups string) string { return `{"compatibilities": {` + groups + `}}` }

// Bodies that images of the corpus have.
const (
	NeedsAVX2    = `"io.kubernetes.nfd": {"cpu-cpuid.AVX2": true}`
	NeedsAVX512  = `"io.kubernetes.nfd": {"cpu-cpuid.AVX512F": true}`
	NeedsOpenMPI = `"org.supercontainers": {"mpi.implementation": "openmpi", "mpi.version": "4.1.6"}`
	NeedsCUDA12  = `"org.supercontainers": {"hardware.gpu.vendor": "nvidia", "hardware.gpu.cuda.version": "12.4"}`
	NeedsCUDA11  = `"org.supercontainers": {"hardware.gpu.vendor": "nvidia", "hardware.gpu.cuda.version": "11.8"}`
	NeedsKernel  = `"oci": {"oci.kernel.versions": ">=6.8"}, "org.opencontainers": {"kernel.configuration.CONFIG_BPF": "y"}`
)

// BuildHost is a spec of NFD that requires the very kernel that an image was built on.
const BuildHost = "version: v1alpha1\ncompatibilities:\n- rules:\n  - name: all\n    matchFeatures:\n" +
	"    - feature: kernel.version\n      matchExpressions: {full: {op: In, value: [\"5.14.0-427.el9.x86_64\"]}}\n"

// Fill puts the images into a registry:
//
//	hpc/lammps:1   amd64 for AVX-512, amd64 for AVX2, arm64 without an artifact
//	hpc/lammps:2   amd64 for AVX-512 only
//	hpc/mpi:1      Open MPI 4.1, stated for the index as a whole
//	ai/torch:12    CUDA 12.4       ai/torch:11   CUDA 11.8
//	net/ebpf:1     Linux 6.8 and CONFIG_BPF
//	web/nginx:1    no artifact, also under web/nginx:stable and mirror/nginx:1
//	bad/lint:1     an attribute that no spec knows
//	bad/host:1     the kernel of the build host
//	exotic/riscv:1    riscv64 only
func Fill(r *fakeregistry.Registry) {
	attach := func(groups string) fakeregistry.Artifact {
		return fakeregistry.Artifact{Body: F(groups), Annotations: map[string]string{"org.opencontainers.image.created": "2026-01-02T03:04:05Z"}}
	}
	for _, repository := range []string{"hpc/lammps", "hpc/mpi", "ai/torch", "net/ebpf", "bad/lint", "bad/host"} {
		r.In(repository).Blob(ocispec.MediaTypeEmptyJSON, "{}") // the config of artifacts
	}
	lammps := r.In("hpc/lammps")
	wide, plain, arm := lammps.Image("linux/amd64", "avx512"), lammps.Image("linux/amd64", "avx2"), lammps.Image("linux/arm64", "arm")
	lammps.Attach(wide, attach(NeedsAVX512))
	lammps.Attach(plain, attach(NeedsAVX2))
	lammps.Index("1", wide, plain, arm)
	lammps.Index("2", wide)
	mpi := r.In("hpc/mpi")
	mpi.Attach(mpi.Index("1", mpi.Image("linux/amd64", "a"), mpi.Image("linux/arm64", "b")), attach(NeedsOpenMPI))
	torch := r.In("ai/torch")
	torch.Attach(torch.Image("linux/amd64", "cu12", "12"), attach(NeedsCUDA12))
	torch.Attach(torch.Image("linux/amd64", "cu11", "11"), attach(NeedsCUDA11))
	ebpf := r.In("net/ebpf")
	ebpf.Attach(ebpf.Image("linux/amd64", "ebpf", "1"), attach(NeedsKernel))
	nginx := r.In("web/nginx")
	nginx.Index("1", nginx.Image("linux/amd64", "nginx"), nginx.Image("linux/arm64", "nginx"))
	nginx.Index("stable", nginx.Image("linux/amd64", "nginx"), nginx.Image("linux/arm64", "nginx"))
	mirror := r.In("mirror/nginx")
	mirror.Index("1", mirror.Image("linux/amd64", "nginx"), mirror.Image("linux/arm64", "nginx"))
	bad := r.In("bad/lint")
	bad.Attach(bad.Image("linux/amd64", "lint", "1"), attach(`"io.kubernetes.nfd": {"cpu-cpuid.AVX22": true}`))
	host := r.In("bad/host")
	host.Attach(host.Image("linux/amd64", "host", "1"), fakeregistry.Artifact{
		Body: BuildHost, LayerType: dialect.LayerTypeNFD, Change: nfdType, ListedType: dialect.ArtifactTypeNFD,
	})
	r.In("exotic/riscv").Image("linux/riscv64", "riscv", "1")
}

// Syncer returns what fills a catalog from a registry, as fast as it answers.
func Syncer(t testing.TB, c *catalog.Catalog) *catalog.Syncer {
	t.Helper()
	reg := registry.New(registry.Options{})
	t.Cleanup(reg.Close)
	return &catalog.Syncer{
		Catalog: c, Indexer: catalog.NewIndexer(testkit.Specs(t), "test"), Registry: reg, TTL: time.Hour, Log: slog.New(slog.DiscardHandler),
		Auth: func(context.Context, reference.Named) (*registry.Auth, error) { return nil, nil },
	}
}

// Sync reads all sources, and fails the test where one cannot be read.
func Sync(t testing.TB, s *catalog.Syncer) catalog.Summary {
	t.Helper()
	sources, err := s.Catalog.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	summary, err := s.Sync(t.Context(), sources)
	if err != nil || len(summary.Failed) > 0 {
		t.Fatalf("sync: %v %+v", err, summary.Failed)
	}
	return summary
}

// Add adds a registry.
func Add(t testing.TB, c *catalog.Catalog, name string) {
	t.Helper()
	source, err := catalog.RegistrySource(name)
	if err == nil {
		_, err = c.Add(t.Context(), source)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Answer is the names and variants that a query finds, without the registry, each as
// "hpc/lammps:1 linux/amd64", in order.
func Answer(t testing.TB, c *catalog.Catalog, host, query string) string {
	t.Helper()
	e, err := catalog.ParseExpression(query)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(t.Context(), e, 0)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	all := make([]string, len(rows))
	for i, r := range rows {
		all[i] = strings.TrimPrefix(r.Name, host+"/") + " " + strings.TrimPrefix(r.Platform, "linux/")
	}
	return strings.Join(all, ", ")
}

func nfdType(m *ocispec.Manifest) { m.ArtifactType = dialect.ArtifactTypeNFD }
