package hostfacts

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/internal/testkit/hosttest"
	"github.com/imagefit/imagefit/pkg/facts"
)

func TestFactsOfTreesAreGolden(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"amd-zen", "intel-haswell-vm", "arm64-graviton2", "no-sys"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := Collect(context.Background(), NewRoot(filepath.Join("testdata", name, "root")))
			got, err := json.MarshalIndent(facts, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, filepath.Join("testdata", name, "facts.json"), string(got)+"\n")
		})
	}
}

func tree(t testing.TB, files map[string]string) Root {
	t.Helper()
	return NewRoot(hosttest.Tree(t, files))
}

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCauseNamesAFileThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	root := tree(t, map[string]string{"proc/sys/kernel/osrelease": "6.1.0\n", "proc/config.gz": ""})
	file := filepath.Join(root.Dir(), "proc/config.gz")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	got := Collect(context.Background(), root).Lookup("kernel.config", "KVM")
	if want := "permission denied reading " + file; got.Cause != want {
		t.Errorf("cause %q, want %q", got.Cause, want)
	}
}

func TestCauseNamesThePathOnTheNode(t *testing.T) {
	t.Parallel()
	err := NewRoot("/").pathError("open", "proc/config.gz", os.ErrPermission)
	if got, want := facts.CauseOf(err), "permission denied reading /proc/config.gz"; got != want {
		t.Errorf("causeOf = %q, want %q", got, want)
	}
}

func TestBadCollectorHarmsNoOther(t *testing.T) {
	t.Parallel()
	list := []collector{
		{sets: []facts.Set{{Name: "a.fails"}}, collect: func(_ host, out *facts.Features) error {
			out.Flags["a.fails"] = []string{"half"}
			return errors.New("half way")
		}},
		{sets: []facts.Set{{Name: "b.panics"}, {Name: "c.panics"}}, collect: func(host, *facts.Features) error { panic("boom") }},
		{sets: []facts.Set{{Name: "d.works"}}, collect: func(_ host, out *facts.Features) error {
			out.Flags["d.works"] = []string{"yes"}
			return nil
		}},
	}
	known := collectWith(context.Background(), tree(t, nil), list)
	if got := known.Lookup("d.works", "yes"); got.State != facts.Present {
		t.Errorf("the good collector's flag is %v", got.State)
	}
	for set, want := range map[string]string{
		"a.fails":  "half way",
		"b.panics": "collector of b.panics, c.panics panicked: boom",
		"c.panics": "collector of b.panics, c.panics panicked: boom",
	} {
		if got := known.Lookup(set, "half"); got.State != facts.Unknown || got.Cause != want {
			t.Errorf("%s is %v %q, want unknown %q", set, got.State, got.Cause, want)
		}
	}
}

func TestCancelledCollectionMakesSetsUnknown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := Collect(ctx, NewRoot("testdata/amd-zen/root")).Lookup("cpu.cpuid", "SSE2")
	if got.State != facts.Unknown || !strings.Contains(got.Cause, "canceled") {
		t.Errorf("got %v %q", got.State, got.Cause)
	}
}

// TestFlagTableAgreesWithCPU holds the table for trees against the CPU at hand.
func TestFlagTableAgreesWithCPU(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs linux/amd64")
	}
	h := newHost(NewRoot("/"))
	live, level, err := readCPUFlags(h)
	if err != nil {
		t.Fatal(err)
	}
	h.live = false
	table, tableLevel, err := readCPUFlags(h)
	if err != nil {
		t.Fatal(err)
	}
	if level != tableLevel {
		t.Errorf("level %d by CPUID and %d by proc/cpuinfo", level, tableLevel)
	}
	for _, flag := range table {
		if !slices.Contains(live, flag) {
			t.Logf("only in proc/cpuinfo: %s", flag)
		}
	}
	for _, flag := range live {
		if !slices.Contains(table, flag) {
			t.Logf("only by CPUID: %s", flag)
			if facts.X86LevelOfFlag(flag) > 0 {
				t.Errorf("the table lacks %s, which a level needs", flag)
			}
		}
	}
}

func TestLiveFactsAreStable(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs linux")
	}
	known := Collect(context.Background(), NewRoot(""))
	if known.OS() != "linux" || known.Arch() != runtime.GOARCH {
		t.Errorf("platform %s/%s", known.OS(), known.Arch())
	}
	if got := known.Lookup("kernel.version", "major"); got.State != facts.Present || got.Value == "" {
		t.Errorf("kernel.version major is %v %q", got.State, got.Value)
	}
	again := Collect(context.Background(), NewRoot("/"))
	if a, b := known.Fingerprint(), again.Fingerprint(); a != b {
		t.Errorf("fingerprints differ between two looks: %s, %s, in %v", a, b, known.ChangedSets(again))
	}
}

func BenchmarkCollect(b *testing.B) {
	for b.Loop() {
		Collect(context.Background(), NewRoot("/"))
	}
}

func BenchmarkCollectTree(b *testing.B) {
	for b.Loop() {
		Collect(context.Background(), NewRoot("testdata/amd-zen/root"))
	}
}

func BenchmarkLookup(b *testing.B) {
	facts := Collect(context.Background(), NewRoot("testdata/amd-zen/root"))
	b.ReportAllocs()
	for b.Loop() {
		facts.Lookup("cpu.cpuid", "AVX2")
		facts.Lookup("kernel.config", "NOT_THERE_AND_QUITE_A_LONG_NAME_INDEED")
		facts.Lookup("kernel.version", "major")
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	known := Collect(context.Background(), NewRoot("testdata/amd-zen/root"))
	partly := facts.New("linux", "amd64", facts.Features{Unknown: map[string]string{"kernel.config/KVM": "no"}})
	for name, look := range map[string]func(){
		"present": func() { known.Lookup("cpu.cpuid", "AVX2") },
		"absent":  func() { known.Lookup("kernel.config", "NOT_THERE_AND_QUITE_A_LONG_NAME_INDEED") },
		"unknown": func() { partly.Lookup("kernel.config", "KVM") },
	} {
		if n := testing.AllocsPerRun(100, look); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
