package hostfacts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
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

func TestRealCPUs(t *testing.T) {
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
			want := append(ArchspecAncestors(name), name)
			for _, m := range loadArchspecs().all {
				state := facts.Absent
				if slices.Contains(want, m.name) {
					state = facts.Present
				}
				// The flags may prove a higher level of ARM than the table has.
				if got := known.Lookup("cpu.archspec", m.name).State; got != state && !strings.HasPrefix(m.name, "armv") {
					t.Errorf("%s is %s, want %s", m.name, got, state)
				}
			}
		})
	}
}

// recognition is a CPU and what cpu.microarchitecture and cpu.archspec say.
type recognition struct {
	name, cpuinfo    string
	files            map[string]string
	want             string // name, vendor, family and generation
	present, missing string // in cpu.archspec
}

func x86CPU(vendor string, flags ...string) string {
	return "vendor_id : " + vendor + "\nflags : lm " + strings.Join(flags, " ") + "\n"
}

func armCPU(implementer, part string, flags ...string) string {
	return fmt.Sprintf("Features : %s\nCPU implementer : %s\nCPU part : %s\n", strings.Join(flags, " "), implementer, part)
}

// featuresOf returns the features of a micro-architecture without some.
func featuresOf(t testing.TB, name string, without ...string) string {
	t.Helper()
	m, ok := loadArchspecs().find(name)
	if !ok {
		t.Fatalf("no micro-architecture %s", name)
	}
	features := slices.Clone(m.features)
	return strings.Join(slices.DeleteFunc(features, func(f string) bool { return slices.Contains(without, f) }), " ")
}

func x86Recognitions(t *testing.T) []recognition {
	v3, v4 := featuresOf(t, "x86_64_v3"), featuresOf(t, "x86_64_v4")
	return []recognition{
		{name: "no flag of any level", cpuinfo: x86CPU("GenuineIntel", "sse2 pni"), want: "x86_64 generic x86_64",
			present: "x86_64", missing: "x86_64_v2 nocona core2"},
		{name: "level 3 of Hygon", cpuinfo: x86CPU("HygonGenuine", featuresOf(t, "zen")), want: "x86_64_v3 generic x86_64",
			present: "x86_64 x86_64_v2 x86_64_v3", missing: "x86_64_v4 zen haswell"},
		{name: "level 2 of VIA", cpuinfo: x86CPU("CentaurHauls", featuresOf(t, "x86_64_v2")), want: "x86_64_v2 generic x86_64",
			present: "x86_64_v2", missing: "x86_64_v3 nehalem"},
		{name: "level 3 of Intel", cpuinfo: x86CPU("GenuineIntel", v3), want: "x86_64_v3 generic x86_64",
			present: "x86_64_v3", missing: "haswell ivybridge"},
		{name: "level 4 of AMD", cpuinfo: x86CPU("AuthenticAMD", v4), want: "x86_64_v4 generic x86_64",
			present: "x86_64_v4", missing: "zen zen4"},
		{name: "level 4 of nobody", cpuinfo: "flags : lm " + v4 + "\n", want: "x86_64_v4 generic x86_64",
			present: "x86_64_v4", missing: "zen4"},
		{name: "a feature of no level hidden", cpuinfo: x86CPU("GenuineIntel", featuresOf(t, "haswell", "rdrand")),
			want: "x86_64_v3 generic x86_64", present: "x86_64_v3", missing: "sandybridge"},
		{name: "a feature of level 3 hidden", cpuinfo: x86CPU("GenuineIntel", featuresOf(t, "haswell", "movbe")),
			want: "ivybridge GenuineIntel x86_64", present: "x86_64_v2 core2", missing: "x86_64_v3 haswell"},
		{name: "a later Zen", cpuinfo: x86CPU("AuthenticAMD", featuresOf(t, "zen5"), "avx512_fp16"),
			want: "zen5 AuthenticAMD x86_64", present: "zen zen2 zen3 zen4 x86_64_v4", missing: "excavator icelake"},
		{name: "Zen 4 is no Zen 5", cpuinfo: x86CPU("AuthenticAMD", featuresOf(t, "zen4")),
			want: "zen4 AuthenticAMD x86_64", present: "zen2", missing: "zen5"},
		{name: "Intel's features on AMD", cpuinfo: x86CPU("AuthenticAMD", featuresOf(t, "icelake")),
			want: "x86_64_v4 generic x86_64", present: "x86_64_v4", missing: "icelake zen3"},
		{name: "32 bits", cpuinfo: "vendor_id : GenuineIntel\nflags : mmx sse sse2\n",
			want: "pentium4 GenuineIntel x86", present: "x86 i686", missing: "x86_64 prescott"},
	}
}

func otherRecognitions(t *testing.T) []recognition {
	n1 := featuresOf(t, "neoverse_n1")
	power := func(cpu string) string { return "processor : 0\ncpu : " + cpu + "\nrevision : 2.0\n" }
	release := func(s string) map[string]string { return map[string]string{"proc/sys/kernel/osrelease": s} }
	return []recognition{
		{name: "ARM core that nobody knows", cpuinfo: armCPU("0x41", "0xfff", n1),
			want: "neoverse_n1 ARM aarch64", present: "cortex_a72 armv8.2a", missing: "neoverse_n2"},
		{name: "older ARM core", cpuinfo: armCPU("0x41", "0xd03", "fp asimd evtstrm crc32 cpuid"),
			want: "aarch64 generic aarch64", present: "aarch64", missing: "cortex_a72 armv8.1a"},
		{name: "vendor without a core", cpuinfo: armCPU("0x48", "0xd01", n1),
			want: "aarch64 generic aarch64", present: "armv8.1a armv8.2a", missing: "armv8.3a neoverse_n1"},
		{name: "vendor that nobody knows", cpuinfo: armCPU("0xff", "0x001", n1),
			want: "aarch64 generic aarch64", present: "armv8.2a", missing: "a64fx"},
		{name: "the part tells equals apart", cpuinfo: armCPU("0x41", "0xD49", featuresOf(t, "neoverse_n2")),
			want: "neoverse_n2 ARM aarch64", present: "armv9.0a neoverse_n1", missing: "neoverse_v2"},
		{name: "the part of another vendor", cpuinfo: armCPU("0x61", "0xd0c", featuresOf(t, "m1")),
			want: "m1 Apple aarch64", present: "armv8.4a", missing: "neoverse_n1"},
		{name: "32 bits of ARM", cpuinfo: armCPU("0x41", "0xc07", "half thumb neon"),
			want: "arm generic arm", present: "arm", missing: "aarch64"},
		{name: "POWER8, little-endian", cpuinfo: power("POWER8NVL (raw), altivec supported"), files: release("4.18.0-80.el8.ppc64le"),
			want: "power8le IBM ppc64le 8", present: "ppc64le", missing: "ppc64 power8 power9le"},
		{name: "POWER8, big-endian", cpuinfo: power("POWER8E (raw), altivec supported"), files: release("3.10.0-1160.el7.ppc64"),
			want: "power8 IBM ppc64 8", present: "power7 ppc64", missing: "ppc64le power8le power9"},
		{name: "POWER that does not say which", cpuinfo: power("POWER9 (architected), altivec supported"),
			want: "power9 IBM ppc64 9", present: "power8le power9le power8", missing: "power10 power10le"},
		{name: "later POWER", cpuinfo: power("POWER11 (architected)"), files: release("6.1.0-1-powerpc64le"),
			want: "power10le IBM ppc64le 10", present: "power9le", missing: "power10"},
		{name: "little-endian before POWER8", cpuinfo: power("POWER7 (raw)"), files: release("4.4.0.ppc64le"),
			want: "ppc64le generic ppc64le", present: "ppc64le", missing: "power8le"},
		{name: "RISC-V that nobody knows", cpuinfo: "isa : rv64imafdcv\nuarch : acme,one\n",
			want: "riscv64 generic riscv64", present: "riscv64", missing: "u74mc x60"},
		{name: "RISC-V without a name", cpuinfo: "isa : rv64imafdc\n", want: "riscv64 generic riscv64", missing: "u74mc x60"},
		{name: "X60 by its model", cpuinfo: "model name : Spacemit(R) X60\nisa : rv64imafdcv\n",
			want: "x60 SpacemiT riscv64", present: "riscv64", missing: "u74mc"},
		{name: "mainframe", cpuinfo: "vendor_id : IBM/S390\n", want: "s390x generic s390x", present: "s390x", missing: "x86_64"},
	}
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	for _, tt := range append(x86Recognitions(t), otherRecognitions(t)...) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			known := collectCPU(t, tt.cpuinfo, tt.files)
			var got []string
			for _, element := range []string{"name", "vendor", "family", "generation"} {
				if fact := known.Lookup("cpu.microarchitecture", element); fact.State == facts.Present {
					got = append(got, fact.Value)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			checkStates(t, known, facts.Present, tt.present)
			checkStates(t, known, facts.Absent, tt.missing)
		})
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

// TestEachIsRecognised: a CPU with just what the table says of a
// micro-architecture is that one. So are the CPUs of which there is no sample.
func TestEachIsRecognised(t *testing.T) {
	t.Parallel()
	archs := map[string]string{
		"x86": "386", "x86_64": "amd64", "aarch64": "arm64", "ppc64": "ppc64", "ppc64le": "ppc64le", "riscv64": "riscv64",
	}
	implementers := map[string]string{"ARM": "0x41", "Cavium": "0x43", "Fujitsu": "0x46", "Apple": "0x61", "Ampere": "0xc0"}
	for _, m := range loadArchspecs().all {
		arch, ok := archs[m.family()]
		if !ok || m.isGeneric() {
			continue
		}
		c := cpuInfo{arch: arch, vendor: m.vendor, flags: m.features, core: m.id}
		switch {
		case arch == "arm64":
			c.vendor = implementers[m.vendor]
		case isPower(arch):
			c.core = "POWER" + m.id + " (raw)"
		case arch == "riscv64":
			c.core, _, _ = strings.Cut(m.id, ";")
		}
		if got := recognise(arch, c).name; got != m.name {
			t.Errorf("%s is taken for %s", m.name, got)
		}
	}
}

func FuzzRecognise(f *testing.F) {
	for _, data := range cpuinfoSamples(f) {
		f.Add(data)
	}
	f.Add([]byte("cpu : POWER99999999999999999999"))
	f.Add([]byte("flags : lm"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCPUInfo(data)
		if err != nil {
			return
		}
		out := facts.NewFeatures()
		if err := collectArchspec(host{arch: c.arch, cpu: c, root: NewRoot("testdata/none")}, &out); err != nil {
			t.Fatal(err)
		}
		m := recognise(c.arch, c)
		names := out.Flags["cpu.archspec"]
		for _, name := range m.lineage() {
			if !KnownArchspec(name) || !slices.Contains(names, name) {
				t.Errorf("%s is not in the table or not in %v", name, names)
			}
		}
		if !m.is(archspecRoot(c.arch)) {
			t.Errorf("%s is of another family than %s", m.name, c.arch)
		}
		has := featureTest(c.flags)
		if !has(m) {
			t.Errorf("taken for %s without its features", m.name)
		}
	})
}

func BenchmarkRecognise(b *testing.B) {
	c, err := parseCPUInfo(cpuinfoSamples(b)["zen4"])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		recognise("amd64", c)
	}
}

func BenchmarkArchspecTable(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parseArchspecs(archspecTable)
	}
}
