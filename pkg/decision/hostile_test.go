package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/bombs"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/systemd"
)

// hostileEnv makes the test binary a process that pulls, and says from where.
const hostileEnv = "IMAGEFIT_TEST_HOSTILE"

// idleMiB is what a process may take more than before, when it is idle again, within
// idleAfter: connections stay open for a while, and Go keeps some memory.
const (
	idleMiB   = 24
	idleAfter = 90 * time.Second
)

// hostilePulls are pulls at the same time.
type hostilePulls struct {
	Host  string
	Pulls int
	Dir   string
}

// hostileCost is what they cost.
type hostileCost struct {
	PeakMiB, IdleMiB float64 // beyond what the process took before
	CPU, Wall        time.Duration
	Results          []string
}

// TestHostileProcess is not a test: it is the process that the others measure.
func TestHostileProcess(t *testing.T) {
	text := os.Getenv(hostileEnv)
	if text == "" {
		t.Skip("for the other tests alone")
	}
	var p hostilePulls
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	cost := p.run(t)
	out, err := json.Marshal(cost)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s%s\n", hostileEnv, out)
}

func (p hostilePulls) run(t *testing.T) hostileCost {
	systemd.LimitResources()
	state, err := cache.Open(p.Dir, 256<<20)
	if err != nil {
		t.Fatal(err)
	}
	rules := &Rules{
		Policy: config.Default().Policy, Interpreter: testkit.Interpreter(t),
		ReferrersTTL: time.Minute, StaleFor: time.Hour, Timeout: 5 * time.Second,
	}
	node := testkit.Node(3, "AVX2")
	reg := registry.New(registry.Options{})
	defer reg.Close()
	resolver := NewResolver(NewEvaluator(Options{
		Cache: state, Log: slog.New(slog.DiscardHandler), Facts: func() *facts.Facts { return node }, Rules: Fixed(rules),
	}), reg)
	before, anon, start, used := memory(t, "VmRSS"), memory(t, "RssAnon"), time.Now(), cpuTime(t)
	cost := hostileCost{Results: make([]string, p.Pulls)}
	var group sync.WaitGroup
	for i := range p.Pulls {
		group.Go(func() {
			d, err := decideAs(t.Context(), resolver, fmt.Sprintf("%s/tenant%d/app:1", p.Host, i))
			if cost.Results[i] = fmt.Sprint(err); err == nil {
				cost.Results[i] = d.Reason
			}
		})
	}
	group.Wait()
	cost.Wall = time.Since(start)
	for deadline := time.Now().Add(idleAfter); ; time.Sleep(100 * time.Millisecond) {
		if cost.IdleMiB = memory(t, "RssAnon") - anon; cost.IdleMiB < idleMiB || time.Now().After(deadline) {
			break
		}
	}
	cost.PeakMiB, cost.CPU = memory(t, "VmHWM")-before, cpuTime(t)-used
	return cost
}

// memory reads a figure of this process, in MiB.
func memory(t testing.TB, name string) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), name+":")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kib) / 1024
}

func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure has another process pull from the registry of a bomb.
func measure(t testing.TB, what bombs.Bomb, pulls int) hostileCost {
	t.Helper()
	r := bombs.New(what)
	defer r.Close()
	request, err := json.Marshal(hostilePulls{
		Host: r.Host(), Pulls: pulls, Dir: filepath.Join(t.TempDir(), "state"),
	})
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHostileProcess$", "-test.v")
	cmd.Env = append(os.Environ(), hostileEnv+"="+string(request))
	out, err := cmd.CombinedOutput()
	_, line, ok := bytes.Cut(out, []byte("\n"+hostileEnv))
	if err != nil || !ok {
		t.Fatalf("%v: %s", err, out)
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	var cost hostileCost
	if err := json.Unmarshal(line, &cost); err != nil {
		t.Fatal(err)
	}
	return cost
}

// What a registry sends costs a bounded amount of memory, and none of it for long.
func TestAHostileRegistryCostsLittleMemory(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("takes other memory, or long")
	}
	limits := map[int]float64{1: 64, 16: 256} // MiB, by the number of pulls at the same time
	pulls := map[string]int{
		"index of 1.4 million entries": 1, "256 entries, 320000 attributes": 1, "257 lists of 4 MiB of {}": 1,
		"32 artifact manifests of 4 MiB for each entry": 16, "wide YAML": 1, "wide JSON": 1, "huge headers": 1,
	}
	for _, what := range bombs.All() {
		n, ok := pulls[what.Name]
		if !ok {
			continue
		}
		t.Run(what.Name, func(t *testing.T) {
			cost := measure(t, what, n)
			t.Logf("peak %.0f idle %.0f wall %v", cost.PeakMiB, cost.IdleMiB, cost.Wall)
			if cost.PeakMiB > limits[n] {
				t.Errorf("%d pulls took %.0f MiB, want at most %.0f", n, cost.PeakMiB, limits[n])
			}
			if cost.IdleMiB > idleMiB {
				t.Errorf("%d pulls left %.0f MiB in use, want at most %d", n, cost.IdleMiB, idleMiB)
			}
		})
	}
}

// BenchmarkHostile prints what pulls from hostile registries cost a process.
func BenchmarkHostile(b *testing.B) {
	for _, what := range bombs.All() {
		for _, pulls := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(what.Name, " ", "_"), pulls), func(b *testing.B) {
				var cost hostileCost
				for range b.N {
					cost = measure(b, what, pulls)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(cost.PeakMiB, "peak-MiB")
				b.ReportMetric(cost.IdleMiB, "idle-MiB")
				b.ReportMetric(cost.CPU.Seconds(), "cpu-s")
				b.ReportMetric(cost.Wall.Seconds(), "wall-s")
				if testing.Verbose() {
					b.Log(cost.Results[0])
				}
			})
		}
	}
}
