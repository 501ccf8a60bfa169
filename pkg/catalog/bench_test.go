package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// A site of the size that the documentation has figures for.
const (
	benchImages   = 5_000
	benchVariants = 4 // of an image, each with an artifact
	benchTags     = 2 // of an image
	benchBodies   = 1_200
)

// newSite makes a catalog of a large site, and returns its file.
func newSite(b *testing.B) (*Catalog, string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "catalog.db")
	c, err := Open(b.Context(), path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	x := NewIndexer(testkit.Specs(b), "bench")
	if _, err := c.Add(b.Context(), Source{Kind: FromRegistry, Name: "registry.example"}); err != nil {
		b.Fatal(err)
	}
	for i := range benchImages {
		for tag := range benchTags {
			if err := c.record(b.Context(), x, 1, siteImage(i, tag)); err != nil {
				b.Fatal(err)
			}
		}
	}
	return c, path
}

func siteImage(i, tag int) *Observed {
	top := digest.FromString(fmt.Sprint("index ", i))
	o := &Observed{
		Repository: fmt.Sprintf("registry.example/team-%d/app-%d", i%40, i/10), Name: fmt.Sprintf("v1.%d.%d", i%10, tag),
		Top: Manifest{Digest: top, Index: true, Size: 1600}, Subjects: []Subject{{Digest: top, Listing: "none", Fresh: tag > 0}},
	}
	for v := range benchVariants {
		manifest := digest.FromString(fmt.Sprint("manifest ", i, " ", v))
		n := (i*benchVariants + v) % benchBodies
		body := fmt.Sprintf(`{"compatibilities": {"io.kubernetes.nfd": {"cpu-cpuid.AVX2": true, "kernel-version.major": %d},`+
			`"org.supercontainers": {"mpi.implementation": "openmpi", "mpi.version": "4.%d.0", "hardware.gpu.cuda.version": "%d.%d", "note.n": "%d"}}}`,
			4+n%3, n%5, 11+n%2, n%9, n)
		o.Variants = append(o.Variants, Variant{
			Manifest: Manifest{
				Digest: manifest, Size: 1200, Content: int64(i) << 20, Config: digest.FromString(fmt.Sprint("config ", i, " ", v)), Created: time.Unix(1_700_000_000, 0),
			},
			Platform: fmt.Sprintf("linux/amd64/v%d", v+1),
			Claims:   Claims{Platform: []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","variant":"v%d"}`, v+1))},
		})
		o.Subjects = append(o.Subjects, Subject{Digest: manifest, Listing: "one", Fresh: tag > 0, Artifacts: []referrers.Artifact{{
			Type: dialect.ArtifactType, Manifest: digest.FromString(fmt.Sprint("artifact ", i, " ", v)), Layer: digest.FromString(body),
			MediaType: dialect.LayerTypeOutline, Body: []byte(body), Created: time.Unix(1_700_000_000, 0), Current: true,
		}}})
	}
	return o
}

// cpuTime is what the process has used: other programs of the machine do not count.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCatalog prints the size of the catalog of a large site, and how long questions
// take.
func BenchmarkCatalog(b *testing.B) {
	c, path := newSite(b)
	c.optimize(b.Context())
	if _, err := c.db.ExecContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	stats, err := c.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("size", func(b *testing.B) {
		for b.Loop() { // only the figures matter
		}
		b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
		b.ReportMetric(float64(stats.Names), "names")
		b.ReportMetric(float64(stats.Artifacts), "artifacts")
		b.ReportMetric(float64(stats.Bodies), "bodies")
	})
	for name, text := range map[string]string{
		"attribute":  `requires gpu.nvidia.cuda_version >= 12.8`,
		"attributes": `requires mpi.host.version >= 4.4 and requires gpu.nvidia.cuda_version >= 12.8`,
		"name":       `name ~ "*/team-7/*:v1.7.1"`,
		"moved":      `moved > 30d`,
	} {
		e, err := ParseExpression(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			begin, runs := cpuTime(b), 0
			defer func() { b.ReportMetric(float64((cpuTime(b)-begin).Milliseconds())/float64(runs), "cpu-ms/op") }()
			for ; b.Loop(); runs++ {
				rows, err := c.Query(b.Context(), e, 0)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(rows)), "rows")
			}
		})
	}
}
