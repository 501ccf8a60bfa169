package hostfacts

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
)

// maxDiscoveryBytes is the target of a full discovery on a machine of two CPUs.
const maxDiscoveryBytes = 2 << 20

// BenchmarkDiscovery collects all facts of this machine and prints which
// families take longest.
func BenchmarkDiscovery(b *testing.B) {
	ctx, root := context.Background(), NewRoot("/")
	b.ReportAllocs()
	for b.Loop() {
		Collect(ctx, root)
	}
	b.StopTimer()
	h := newHost(root)
	type spent struct {
		sets string
		time time.Duration
	}
	var all []spent
	for _, c := range collectors() {
		const rounds = 5
		start := time.Now()
		for range rounds {
			_, _ = runCollector(ctx, c, h)
		}
		all = append(all, spent{c.sets[0].Name, time.Since(start) / rounds})
	}
	slices.SortFunc(all, func(a, b spent) int { return cmp.Compare(b.time, a.time) })
	for _, s := range all[:5] {
		b.Logf("%8v %s", s.time.Round(time.Microsecond), s.sets)
	}
	b.ReportMetric(all[0].time.Seconds()*1e3, "slowest-ms")
}

// BenchmarkDiscoveryTrees collects the facts of captured hosts.
func BenchmarkDiscoveryTrees(b *testing.B) {
	for _, name := range []string{"hosts/amd-genoa", "hosts/laptop-alderlake", "nodes/nvidia-h100"} {
		b.Run(name, func(b *testing.B) {
			root := hostIn(b, "testdata/"+name+".txt")
			b.ReportAllocs()
			for b.Loop() {
				Collect(context.Background(), root)
			}
		})
	}
}

// BenchmarkCurrent reads facts as the daemons do, from a source.
func BenchmarkCurrent(b *testing.B) {
	source := NewSource(context.Background(), NewRoot("testdata/amd-zen/root"), nil)
	b.ReportAllocs()
	for b.Loop() {
		source.Current().Lookup("cpu.cpuid", "AVX2")
	}
}

// TestDiscoveryIsCheap holds what a discovery allocates against the target, also
// what is freed at once. How long it takes is BenchmarkDiscovery's to say.
func TestDiscoveryIsCheap(t *testing.T) {
	if runtime.GOOS != "linux" || raceEnabled {
		t.Skip("needs linux, without the race detector")
	}
	const rounds = 10
	bytes := uint64(1 << 62)
	for range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Collect(context.Background(), NewRoot("/"))
		runtime.ReadMemStats(&after)
		bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	t.Logf("%d KiB", bytes>>10)
	if bytes > maxDiscoveryBytes {
		t.Errorf("a discovery allocates %d bytes, want at most %d", bytes, maxDiscoveryBytes)
	}
}
