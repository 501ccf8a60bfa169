package hostfacts

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

func TestUnreadableCPU(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such file")
	tests := map[string]struct {
		h                         host
		present, missing, unknown string
	}{
		"amd64": {host{arch: "amd64", live: true, cpuErr: cause}, "x86_64", "aarch64 neoverse_n1 x86 power8", "nehalem k10"},
		"arm64": {host{arch: "arm64", live: true, cpuErr: cause}, "aarch64", "x86_64 zen", "armv8.1a m1"},
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

// TestUnnamedCPU: of NFD's export the level is known and no more.
func TestUnnamedCPU(t *testing.T) {
	t.Parallel()
	out := facts.NewFeatures()
	addUnnamedCPU("amd64", 3, "no name", &out)
	known := facts.New("linux", "amd64", out)
	checkStates(t, known, facts.Present, "x86_64 x86_64_v2 x86_64_v3")
	checkStates(t, known, facts.Absent, "x86_64_v4 zen4 zen5 skylake_avx512 icelake x86 prescott aarch64 s390x")
	checkStates(t, known, facts.Unknown, "haswell alderlake zen zen3 k10 mic_knl")
	if got := known.Lookup("cpu.microarchitecture", "name"); got.State != facts.Unknown || got.Cause != "no name" {
		t.Errorf("the name is %s (%s)", got.State, got.Cause)
	}
	if got := known.Lookup("cpu.arm64", "level"); got.State != facts.Absent {
		t.Errorf("the ARM level of amd64 is %s", got.State)
	}
}

// TestByteOrder: the architecture of a tree of POWER follows its kernel.
func TestByteOrder(t *testing.T) {
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

// TestLiveLevels: the level by archspec's features is the one by CPUID.
func TestLiveLevels(t *testing.T) {
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
