package hostfacts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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
			checkStates(t, known, facts.Present, strings.Join(append(archspec.Ancestors(name), name), " "))
		})
	}
}

func TestARMLevelOfRealCPUsIsKnown(t *testing.T) {
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

func TestUnreadableCPUIsOfItsFamily(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such file")
	tests := map[string]struct {
		h                         host
		present, missing, unknown string
	}{
		"amd64": {host{arch: "amd64", live: true, cpuErr: cause}, "x86_64", "aarch64 neoverse_n1 power8", "x86 prescott"},
		"arm64": {host{arch: "arm64", live: true, cpuErr: cause}, "aarch64", "x86_64 zen", "armv8.1a m1 arm"},
		"emulated": {
			host{arch: "arm64", live: true, cpu: cpuInfo{CPU: archspec.CPU{Arch: "amd64", Vendor: "AuthenticAMD"}}},
			"aarch64", "x86_64 zen", "armv8.1a neoverse_n1",
		},
		"a tree": {host{cpuErr: cause}, "", "", "x86_64 aarch64 zen"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := facts.NewFeatures()
			if err := collectArchspec(tt.h, &out); err != nil {
				out.Unknown["cpu.archspec"] = err.Error()
			}
			known := facts.New("linux", tt.h.arch, out)
			checkStates(t, known, facts.Present, tt.present)
			checkStates(t, known, facts.Absent, tt.missing)
			checkStates(t, known, facts.Unknown, tt.unknown)
		})
	}
}

// TestTargetsFollowFromFlagsOfNFD: NFD names no CPU, and not all flags that targets have.
func TestTargetsFollowFromFlagsOfNFD(t *testing.T) {
	t.Parallel()
	out := facts.NewFeatures()
	addUnnamedCPU("amd64", strings.Fields("CMOV CMPXCHG8 FXSR MMX SSE SSE2 SYSCALL X87 CX16 LAHF POPCNT SSE3 SSE4 SSE42 SSSE3 "+
		"AVX AVX2 BMI1 BMI2 F16C FMA3 LZCNT MOVBE OSXSAVE XSAVE AESNI CLMUL RDRAND"), "no name", &out)
	known := facts.New("linux", "amd64", out)
	checkStates(t, known, facts.Present, "x86_64 x86_64_v2 x86_64_v3 haswell nehalem")
	checkStates(t, known, facts.Absent, "x86_64_v4 zen4 zen5 skylake_avx512 icelake alderlake mic_knl aarch64 s390x")
	checkStates(t, known, facts.Unknown, "skylake zen zen3 k10")
	if got := known.Lookup("cpu.archspec", "skylake").Cause; !strings.Contains(got, "does not show") {
		t.Errorf("skylake is unknown since %s", got)
	}
	if got := known.Lookup("cpu.microarchitecture", "name"); got.State != facts.Unknown || got.Cause != "no name" {
		t.Errorf("the name is %s (%s)", got.State, got.Cause)
	}
	if got := known.Lookup("cpu.arm64", "level"); got.State != facts.Absent {
		t.Errorf("the ARM level of amd64 is %s", got.State)
	}
}

// TestArchitectureOfPOWERFollowsItsKernel: the architecture of a tree of POWER follows its kernel.
func TestArchitectureOfPOWERFollowsItsKernel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, content, want string }{
		"big":                {"sys/kernel/cpu_byteorder", "big\n", "ppc64"},
		"little":             {"sys/kernel/cpu_byteorder", "little\n", "ppc64le"},
		"Red Hat":            {"proc/sys/kernel/osrelease", "3.10.0-1160.el7.ppc64\n", "ppc64"},
		"Debian":             {"proc/sys/kernel/osrelease", "6.1.0-9-powerpc64le\n", "ppc64le"},
		"Ubuntu, no telling": {"proc/sys/kernel/osrelease", "5.4.0-42-generic\n", "ppc64le"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{"proc/cpuinfo": "cpu : POWER9, altivec supported\n", tt.file: tt.content})
			if got := newHost(root).arch; got != tt.want {
				t.Errorf("architecture %s, want %s", got, tt.want)
			}
		})
	}
}

// TestLevelByFeaturesIsThatOfCPUID: the level by archspec's features is the one by CPUID.
func TestLevelByFeaturesIsThatOfCPUID(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs linux/amd64")
	}
	known := Collect(context.Background(), NewRoot("/"))
	level, err := strconv.Atoi(known.Lookup("cpu.x86_64", "level").Value)
	if err != nil {
		t.Fatal(err)
	}
	for l := 2; l <= facts.X86MaxLevel; l++ {
		want := facts.Absent
		if l <= level {
			want = facts.Present
		}
		checkStates(t, known, want, "x86_64_v"+strconv.Itoa(l))
	}
	t.Log(known.Lookup("cpu.microarchitecture", "name").Value)
}
