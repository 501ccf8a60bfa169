package hostfacts

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// cpuinfoSamples returns the real CPUs of testdata/archspec, by archspec's name
// of each. They come from archspec-json, Apache-2.0 or MIT.
func cpuinfoSamples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/archspec/*")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	samples := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		samples[filepath.Base(file)] = data
	}
	return samples
}

func collectCPU(t testing.TB, cpuinfo string, more map[string]string) *facts.Facts {
	t.Helper()
	files := map[string]string{"proc/cpuinfo": cpuinfo}
	for name, content := range more {
		files[name] = content
	}
	return Collect(context.Background(), tree(t, files))
}

func TestRealCPUsAreNamedAsByArchspec(t *testing.T) {
	t.Parallel()
	for name, data := range cpuinfoSamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alone := collectCPU(t, string(data), map[string]string{})
			if got := alone.Lookup("cpu.microarchitecture", "name").Value; got != name {
				t.Fatalf("recognised as %q by proc/cpuinfo alone", got)
			}
			more := map[string]string{}
			if name == "power9" || name == "power10" {
				more["sys/kernel/cpu_byteorder"] = "big\n"
			}
			known := collectCPU(t, string(data), more)
			if got := known.Lookup("cpu.microarchitecture", "name").Value; got != name {
				t.Fatalf("recognised as %q", got)
			}
			want := append(archspec.Ancestors(name), name)
			state := map[bool]facts.State{true: facts.Present, false: facts.Absent}
			for other := range cpuinfoSamples(t) {
				if got := known.Lookup("cpu.archspec", other).State; got != state[slices.Contains(want, other)] {
					t.Errorf("%s is %s", other, got)
				}
			}
			checkStates(t, known, facts.Present, strings.Join(want, " "))
		})
	}
}

func TestARMLevelOfRealCPUs(t *testing.T) {
	t.Parallel()
	levels := map[string]string{
		"ampere1": "8.6", "m1": "8.4", "neoverse_n1": "8.2", "neoverse_n2": "9.0", "neoverse_v2": "9.0", "thunderx2": "8.1",
	}
	for name, data := range cpuinfoSamples(t) {
		got := collectCPU(t, string(data), nil).Lookup("cpu.arm64", "level")
		want := facts.Fact{State: facts.Absent}
		if level := levels[name]; level != "" {
			want = facts.Fact{State: facts.Present, Value: level}
		}
		if got != want {
			t.Errorf("%s: level is %s %q, want %s %q", name, got.State, got.Value, want.State, want.Value)
		}
	}
}

// checkStates looks the names up in cpu.archspec.
func checkStates(t *testing.T, facts *facts.Facts, want facts.State, names string) {
	t.Helper()
	for _, name := range strings.Fields(names) {
		if got := facts.Lookup("cpu.archspec", name); got.State != want {
			t.Errorf("%s is %s (%s), want %s", name, got.State, got.Cause, want)
		}
	}
}

// TestTreeWithoutByteOrderIsOfBoth: proc/cpuinfo of POWER does not tell which
// byte order the kernel has.
func TestTreeWithoutByteOrderIsOfBoth(t *testing.T) {
	t.Parallel()
	known := collectCPU(t, "processor : 0\ncpu : POWER9 (architected), altivec supported\n", nil)
	checkStates(t, known, facts.Present, "power8le power9le power8 power9")
	checkStates(t, known, facts.Absent, "power10 power10le")
	if got := known.Lookup("cpu.microarchitecture", "generation").Value; got != "9" {
		t.Errorf("generation %q", got)
	}
}
