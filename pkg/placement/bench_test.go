package placement_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// BenchmarkMatch is the question of a large site: 5,000 images of up to four variants
// with 1,200 different bodies, on 10,000 nodes of 100 classes. The time is that of
// projecting all nodes and of evaluating all images; what images need is known.
func BenchmarkMatch(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	images := corpus(b, r, 5_000, 1_200, "cpu.cpuid", "cpu.model", "cpu.archspec", "kernel.version", "gpu.nvidia", "kernel.config")
	e, _ := newEvaluator(b)
	types := compattest.MachineTypes(b)
	kinds := make([]*facts.Facts, 100)
	for i := range kinds {
		f := types[i%len(types)].Features()
		f.Attributes["system.libc"] = map[string]string{"implementation": "glibc", "version": fmt.Sprint("2.", i)}
		kinds[i] = facts.New(types[i%len(types)].OS(), types[i%len(types)].Arch(), f)
	}
	for b.Loop() {
		start := time.Now()
		asked := e.Dimensions(b.Context(), images...)
		dimensions := time.Since(start)
		byID := map[string]nodeclass.Class{}
		var projecting, used time.Duration
		for i := range 10_000 {
			node := compattest.Noisy(r, kinds[i%len(kinds)], fmt.Sprint(i))
			start := time.Now()
			class := nodeclass.Of(node, asked)
			projecting += time.Since(start)
			byID[class.ID] = class
		}
		classes := make([]nodeclass.Class, 0, len(byID))
		for _, class := range byID {
			classes = append(classes, class)
		}
		start, used = time.Now(), cpu(b)
		rows := match(b, e, images, classes...)
		matching := time.Since(start)
		used = cpu(b) - used
		b.ReportMetric(float64(len(classes)), "classes")
		b.ReportMetric((dimensions + projecting + matching).Seconds(), "s/question")
		b.ReportMetric(used.Seconds(), "match-cpu-s")
		b.ReportMetric(float64(peak(b)), "MB-peak")
		b.Logf("%d images, %d classes: dimensions %v, projecting 10000 nodes %v, matching %v",
			len(rows), len(classes), dimensions, projecting, matching)
		runtime.KeepAlive(rows)
	}
}

// cpu is the processor time that the process used so far: a busy machine makes the time
// on the clock longer.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// peak is the most memory that the process had, in megabytes.
func peak(b *testing.B) int {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib := 0
	_, _ = fmt.Sscan(rest, &kib)
	return kib >> 10
}
