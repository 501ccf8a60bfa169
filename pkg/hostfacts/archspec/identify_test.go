package archspec

import (
	"slices"
	"strings"
	"testing"
)

// identification is a CPU and what its identity says.
type identification struct {
	name                     string
	cpu                      CPU
	want                     string // name, vendor, family and generation
	present, missing, unsure string // of the targets
}

func x86CPU(vendor string, flags ...string) CPU {
	return CPU{Arch: "amd64", Vendor: vendor, Flags: strings.Fields(strings.Join(flags, " "))}
}

func armCPU(implementer, part string, flags ...string) CPU {
	return CPU{Arch: "arm64", Vendor: implementer, Core: part, Flags: strings.Fields(strings.Join(flags, " "))}
}

// featuresOf returns the features of a micro-architecture without some.
func featuresOf(t testing.TB, name string, without ...string) string {
	t.Helper()
	m, ok := load().byName[name]
	if !ok {
		t.Fatalf("no micro-architecture %s", name)
	}
	features := slices.Clone(m.features)
	return strings.Join(slices.DeleteFunc(features, func(f string) bool { return slices.Contains(without, f) }), " ")
}

func x86Identifications(t *testing.T) []identification {
	v3, v4 := featuresOf(t, "x86_64_v3"), featuresOf(t, "x86_64_v4")
	return []identification{
		{name: "no flag of any level", cpu: x86CPU("GenuineIntel", "sse2 pni"), want: "x86_64 generic x86_64",
			present: "x86_64", missing: "x86_64_v2 nocona core2"},
		{name: "level 3 of Hygon", cpu: x86CPU("HygonGenuine", featuresOf(t, "zen")), want: "x86_64_v3 generic x86_64",
			present: "x86_64 x86_64_v2 x86_64_v3 zen", missing: "x86_64_v4 bulldozer", unsure: "haswell"},
		{name: "level 2 of VIA", cpu: x86CPU("CentaurHauls", featuresOf(t, "x86_64_v2")), want: "x86_64_v2 generic x86_64",
			present: "x86_64_v2 nehalem", missing: "x86_64_v3 sandybridge", unsure: "westmere"},
		{name: "level 3 of Intel", cpu: x86CPU("GenuineIntel", v3), want: "x86_64_v3 generic x86_64",
			present: "x86_64_v3 nehalem", missing: "x86_64_v4 mic_knl", unsure: "haswell ivybridge zen"},
		{name: "level 4 of AMD", cpu: x86CPU("AuthenticAMD", v4), want: "x86_64_v4 generic x86_64",
			present: "x86_64_v4", missing: "zen4 icelake", unsure: "zen skylake_avx512"},
		{name: "level 4 without a vendor", cpu: x86CPU("", v4), want: "x86_64_v4 generic x86_64",
			present: "x86_64_v4", missing: "zen4"},
		{name: "a feature of no level hidden", cpu: x86CPU("GenuineIntel", featuresOf(t, "haswell", "rdrand")),
			want: "x86_64_v3 generic x86_64", present: "x86_64_v3 sandybridge", missing: "x86_64_v4", unsure: "haswell"},
		{name: "a feature of level 3 hidden", cpu: x86CPU("GenuineIntel", featuresOf(t, "haswell", "movbe")),
			want: "ivybridge GenuineIntel x86_64", present: "x86_64_v2 core2", missing: "x86_64_v3 haswell zen"},
		{name: "a later Zen", cpu: x86CPU("AuthenticAMD", featuresOf(t, "zen5"), "avx512_fp16"),
			want: "zen5 AuthenticAMD x86_64", present: "zen zen2 zen3 zen4 x86_64_v4", missing: "excavator", unsure: "icelake haswell alderlake"},
		{name: "Zen 4 is not Zen 5", cpu: x86CPU("AuthenticAMD", featuresOf(t, "zen4")),
			want: "zen4 AuthenticAMD x86_64", present: "zen2", missing: "zen5"},
		{name: "Intel's features on AMD", cpu: x86CPU("AuthenticAMD", featuresOf(t, "icelake")),
			want: "x86_64_v4 generic x86_64", present: "x86_64_v4 icelake", missing: "arrowlake", unsure: "zen3"},
		{name: "32 bits", cpu: CPU{Arch: "386", Vendor: "GenuineIntel", Flags: []string{"mmx", "sse", "sse2"}},
			want: "pentium4 GenuineIntel x86", present: "x86 i686", missing: "x86_64 prescott"},
	}
}

func otherIdentifications(t *testing.T) []identification {
	n1 := featuresOf(t, "neoverse_n1")
	power := func(arch, cpu string) CPU { return CPU{Arch: arch, Vendor: "IBM", Core: cpu} }
	return []identification{
		{name: "unknown ARM core", cpu: armCPU("0x41", "0xfff", n1),
			want: "neoverse_n1 ARM aarch64", present: "cortex_a72 armv8.2a", missing: "neoverse_n2 a64fx", unsure: "ampere1 armv8.3a"},
		{name: "older ARM core", cpu: armCPU("0x41", "0xd03", "fp asimd evtstrm crc32 cpuid"),
			want: "aarch64 generic aarch64", present: "aarch64", missing: "neoverse_n1 armv8.1a", unsure: "cortex_a72"},
		{name: "vendor without a core", cpu: armCPU("0x48", "0xd01", n1),
			want: "aarch64 generic aarch64", present: "armv8.1a armv8.2a neoverse_n1", missing: "armv9.0a", unsure: "armv8.3a"},
		{name: "unknown ARM vendor", cpu: armCPU("0xff", "0x001", n1),
			want: "aarch64 generic aarch64", present: "armv8.2a", missing: "a64fx"},
		{name: "the part tells equals apart", cpu: armCPU("0x41", "0xD49", featuresOf(t, "neoverse_n2")),
			want: "neoverse_n2 ARM aarch64", present: "armv9.0a neoverse_n1 neoverse_v2", missing: "power9", unsure: "m4"},
		{name: "the part of another vendor", cpu: armCPU("0x61", "0xd0c", featuresOf(t, "m1")),
			want: "m1 Apple aarch64", present: "armv8.4a neoverse_n1", missing: "neoverse_v1"},
		{name: "32 bits of ARM", cpu: CPU{Arch: "arm", Vendor: "0x41", Core: "0xc07", Flags: []string{"half", "thumb", "neon"}},
			want: "arm generic arm", present: "arm", missing: "aarch64"},
		{name: "POWER8, little-endian", cpu: power("ppc64le", "POWER8NVL (raw), altivec supported"),
			want: "power8le IBM ppc64le 8", present: "ppc64le", missing: "ppc64 power8 power9le"},
		{name: "POWER8, big-endian", cpu: power("ppc64", "POWER8E (raw), altivec supported"),
			want: "power8 IBM ppc64 8", present: "power7 ppc64", missing: "ppc64le power8le power9"},
		{name: "POWER that does not say which", cpu: CPU{Arch: "ppc64le", Vendor: "IBM", Core: "POWER9 (architected), altivec supported", AnyByteOrder: true},
			want: "power9 IBM ppc64 9", present: "power8le power9le power8", missing: "power10 power10le"},
		{name: "later POWER", cpu: power("ppc64le", "POWER11 (architected)"),
			want: "power10le IBM ppc64le 10", present: "power9le", missing: "power10"},
		{name: "little-endian before POWER8", cpu: power("ppc64le", "POWER7 (raw)"),
			want: "ppc64le generic ppc64le", present: "ppc64le", missing: "power8le"},
		{name: "unknown RISC-V core", cpu: CPU{Arch: "riscv64", Core: "acme,one"},
			want: "riscv64 generic riscv64", present: "riscv64", missing: "u74mc x60"},
		{name: "RISC-V without a name", cpu: CPU{Arch: "riscv64"}, want: "riscv64 generic riscv64", missing: "u74mc x60"},
		{name: "X60 by its model", cpu: CPU{Arch: "riscv64", ModelName: "Spacemit(R) X60"},
			want: "x60 SpacemiT riscv64", present: "riscv64", missing: "u74mc"},
		{name: "mainframe", cpu: CPU{Arch: "s390x", Vendor: "IBM/S390"}, want: "s390x generic s390x", present: "s390x", missing: "x86_64"},
	}
}

func TestCPUsAreIdentifiedByFeaturesVendorAndPart(t *testing.T) {
	t.Parallel()
	for _, tt := range append(x86Identifications(t), otherIdentifications(t)...) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id := Identify(tt.cpu)
			if got := strings.TrimSpace(strings.Join([]string{id.Name, id.Vendor, id.Family, id.Generation}, " ")); got != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			checkFit(t, FitOf(tt.cpu), tt.present, tt.missing, tt.unsure)
		})
	}
}

// checkFit looks targets up in a Fit.
func checkFit(t *testing.T, fit Fit, present, missing, unsure string) {
	t.Helper()
	for want, names := range map[string]string{"runs": present, "does not run": missing, "unsure": unsure} {
		for _, name := range strings.Fields(names) {
			got := "does not run"
			if _, isUnsure := fit.Unsure[name]; isUnsure {
				got = "unsure"
			}
			if slices.Contains(fit.Runs, name) {
				got = "runs"
			}
			if got != want || !Known(name) {
				t.Errorf("%s: %s (%s), want %s", name, got, fit.Unsure[name], want)
			}
		}
	}
}

// TestEachOfTheTableIsIdentified: a CPU with just what the table says of a
// micro-architecture is that one. So are the CPUs of which there is no sample.
func TestEachOfTheTableIsIdentified(t *testing.T) {
	t.Parallel()
	archs := map[string]string{
		"x86": "386", "x86_64": "amd64", "aarch64": "arm64", "ppc64": "ppc64", "ppc64le": "ppc64le", "riscv64": "riscv64",
	}
	implementers := map[string]string{"ARM": "0x41", "Cavium": "0x43", "Fujitsu": "0x46", "Apple": "0x61", "Ampere": "0xc0"}
	for _, m := range load().all {
		family := slices.IndexFunc(m.ancestors, func(name string) bool { return archs[name] != "" })
		if family < 0 || m.isGeneric() {
			continue
		}
		arch := archs[m.ancestors[family]]
		c := CPU{Arch: arch, Vendor: m.vendor, Flags: m.features, Core: m.id}
		switch {
		case arch == "arm64":
			c.Vendor = implementers[m.vendor]
		case strings.HasPrefix(arch, "ppc"):
			c.Core = "POWER" + m.id + " (raw)"
		case arch == "riscv64":
			c.Core, _, _ = strings.Cut(m.id, ";")
		}
		if got := Identify(c).Name; got != m.name {
			t.Errorf("%s is identified as %s", m.name, got)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	for _, m := range load().all {
		f.Add("amd64", m.vendor, strings.Join(m.features, " "), m.id, m.name)
	}
	f.Add("arm64", "0x41", "fp asimd", "0xd0c", "")
	f.Add("ppc64le", "IBM", "", "POWER99999999999999999999", "")
	f.Add("riscv64", "", "", "sifive,u74-mc", "")
	f.Fuzz(func(t *testing.T, arch, vendor, flags, core, model string) {
		cpu := CPU{Arch: arch, Vendor: vendor, Flags: strings.Fields(flags), Core: core, ModelName: model}
		fit, m := FitOf(cpu), recognise(cpu)
		for _, name := range m.lineage() {
			if !Known(name) && name != arch || !slices.Contains(fit.Runs, name) {
				t.Errorf("%s is not in the table or not in %v", name, fit.Runs)
			}
		}
		for name := range fit.Unsure {
			if slices.Contains(fit.Runs, name) || !Known(name) {
				t.Errorf("%s both runs and is not known to, or is not in the table", name)
			}
		}
		byName := arch == "riscv64" // there the core's name decides
		if !m.is(familyOf(arch)) || !byName && !featureTest(cpu.Flags)(m) {
			t.Errorf("identified as %s, which is of another family than %s or has more features", m.name, arch)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	m := load().byName["zen4"]
	cpu := CPU{Arch: "amd64", Vendor: m.vendor, Flags: m.features}
	b.ReportAllocs()
	for b.Loop() {
		Identify(cpu)
	}
}
