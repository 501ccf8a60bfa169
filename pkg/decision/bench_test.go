package decision

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// BenchmarkDecideWarm decides about an image that is known, each candidate with
// an artifact of its own: one request, and everything else from the cache.
func BenchmarkDecideWarm(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newTestRegistry(b)
			var entries []ocispec.Descriptor
			for i := range n {
				entry := r.Image("linux/amd64/v2", fmt.Sprint(i))
				r.Attach(entry, fakeregistry.Artifact{Attributes: fmt.Sprintf(`"cpu-cpuid.AVX2": true, "kernel-version.major": %d`, i%7)})
				entries = append(entries, entry)
			}
			r.Index("1", entries...)
			resolver := newTestResolver(b, r, testkit.Node(3, "AVX2"))
			decide(b, resolver, app)
			b.ReportAllocs()
			for b.Loop() {
				decide(b, resolver, app)
			}
		})
	}
}
