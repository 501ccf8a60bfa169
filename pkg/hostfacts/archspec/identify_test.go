package archspec

import (
	"slices"
	"strings"
	"testing"
)

// identification is a CPU and what its identity says.
type identification struct {
	name             string
	cpu              CPU
	want             string // name, vendor, family and generation
	present, missing string // in the lineage
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
			present: "x86_64 x86_64_v2 x86_64_v3", missing: "x86_64_v4 zen haswell"},
		{name: "level 2 of VIA", cpu: x86CPU("CentaurHauls", featuresOf(t, "x86_64_v2")), want: "x86_64_v2 generic x86_64",
			present: "x86_64_v2", missing: "x86_64_v3 nehalem"},
		{name: "level 3 of Intel", cpu: x86CPU("GenuineIntel", v3), want: "x86_64_v3 generic x86_64",
			present: "x86_64_v3", missing: "haswell ivybridge"},
		{name: "level 4 of AMD", cpu: x86CPU("AuthenticAMD", v4), want: "x86_64_v4 generic x86_64",
			present: "x86_64_v4", missing: "zen zen4"},
		{name: "level 4 without a vendor", cpu: x86CPU("", v4), want: "x86_64_v4 generic x86_64",
			present: "x86_64_v4", missing: "zen4"},
		{name: "a feature of no level hidden", cpu: x86CPU("GenuineIntel", featuresOf(t, "haswell", "rdrand")),
			want: "x86_64_v3 generic x86_64", present: "x86_64_v3", missing: "sandybridge"},
		{name: "a feature of level 3 hidden", cpu: x86CPU("GenuineIntel", featuresOf(t, "haswell", "movbe")),
			want: "ivybridge GenuineIntel x86_64", present: "x86_64_v2 core2", missing: "x86_64_v3 haswell"},
		{name: "a later Zen", cpu: x86CPU("AuthenticAMD", featuresOf(t, "zen5"), "avx512_fp16"),
			want: "zen5 AuthenticAMD x86_64", present: "zen zen2 zen3 zen4 x86_64_v4", missing: "excavator icelake"},
		{name: "Zen 4 is not Zen 5", cpu: x86CPU("AuthenticAMD", featuresOf(t, "zen4")),
			want: "zen4 AuthenticAMD x86_64", present: "zen2", missing: "zen5"},
		{name: "Intel's features on AMD", cpu: x86CPU("AuthenticAMD", featuresOf(t, "icelake")),
			want: "x86_64_v4 generic x86_64", present: "x86_64_v4", missing: "icelake zen3"},
		{name: "32 bits", cpu: CPU{Arch: "386", Vendor: "GenuineIntel", Flags: []string{"mmx", "sse", "sse2"}},
			want: "pentium4 GenuineIntel x86", present: "x86 i686", missing: "x86_64 prescott"},
	}
}

func otherIdentifications(t *testing.T) []identification {
	n1 := featuresOf(t, "neoverse_n1")
	power := func(arch, cpu string) CPU { return CPU{Arch: arch, Vendor: "IBM", Core: cpu} }
	return []identification{
		{name: "unknown ARM core", cpu: armCPU("0x41", "0xfff", n1),
			want: "neoverse_n1 ARM aarch64", present: "cortex_a72 armv8.2a", missing: "neoverse_n2"},
		{name: "older ARM core", cpu: armCPU("0x41", "0xd03", "fp asimd evtstrm crc32 cpuid"),
			want: "aarch64 generic aarch64", present: "aarch64", missing: "cortex_a72 armv8.1a"},
		{name: "vendor without a core", cpu: armCPU("0x48", "0xd01", n1),
			want: "aarch64 generic aarch64", present: "armv8.1a armv8.2a", missing: "armv8.3a neoverse_n1"},
		{name: "unknown ARM vendor", cpu: armCPU("0xff", "0x001", n1),
			want: "aarch64 generic aarch64", present: "armv8.2a", missing: "a64fx"},
		{name: "the part tells equals apart", cpu: armCPU("0x41", "0xD49", featuresOf(t, "neoverse_n2")),
			want: "neoverse_n2 ARM aarch64", present: "armv9.0a neoverse_n1", missing: "neoverse_v2"},
		{name: "the part of another vendor", cpu: armCPU("0x61", "0xd0c", featuresOf(t, "m1")),
			want: "m1 Apple aarch64", present: "armv8.4a", missing: "neoverse_n1"},
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
			for _, name := range strings.Fields(tt.present) {
				if !slices.Contains(id.Lineage, name) {
					t.Errorf("the lineage %v lacks %s", id.Lineage, name)
				}
			}
			for _, name := range strings.Fields(tt.missing) {
				if slices.Contains(id.Lineage, name) || !Known(name) {
					t.Errorf("the lineage %v has %s, or it is not known", id.Lineage, name)
				}
			}
		})
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
		id, m := Identify(cpu), recognise(cpu)
		for _, name := range m.lineage() {
			if !Known(name) && name != arch || !slices.Contains(id.Lineage, name) {
				t.Errorf("%s is not in the table or not in %v", name, id.Lineage)
			}
		}
		if !m.is(familyOf(arch)) || !featureTest(cpu.Flags)(m) {
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
