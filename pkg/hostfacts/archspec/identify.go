package archspec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// CPU is how the kernel describes a processor in proc/cpuinfo.
type CPU struct {
	Arch   string   // GOARCH
	Vendor string   // as written: GenuineIntel, 0x41
	Flags  []string // in the kernel's spelling; on RISC-V the extensions of isa
	// Shows reports whether Flags would have a feature if the CPU had it: NFD has
	// no name for some. If it is nil they have all.
	Shows func(feature string) bool
	// Core is what the kernel calls the core where family and model do not tell,
	// as written: "0xd0c" on ARM, "POWER9, altivec supported", "sifive,u74-mc" on
	// RISC-V. There ModelName can tell it too.
	Core, ModelName string
	// AnyByteOrder is true when the byte order of a POWER kernel is not known. The
	// CPU supports both, and an image of the other one is not for its platform.
	AnyByteOrder bool
}

// Identity is what archspec calls a CPU.
type Identity struct {
	Name, Vendor, Family string
	Generation           string // of POWER
	ARMLevel             string // such as "8.2"
}

// Identify returns the identity of a CPU. One that is not in the table is of a
// generic level or at least of its family.
func Identify(cpu CPU) Identity {
	if cpu.AnyByteOrder {
		cpu.Arch = "ppc64" // archspec's name of the CPU itself
	}
	m := recognise(cpu)
	id := Identity{Name: m.name, Vendor: m.vendor, Family: familyOf(cpu.Arch)}
	switch cpu.Arch {
	case "arm64":
		id.ARMLevel = armLevelOf(cpu.Flags, m).String()
	case "ppc64", "ppc64le":
		id.Generation = m.id
	}
	return id
}

// recognise returns the micro-architecture of a CPU as archspec finds it: of
// those it has all features of, the one furthest from the family that descends
// from the best generic level. Going by the level first keeps a CPU whose
// firmware hides some minor feature from being identified as a much older one.
func recognise(cpu CPU) microarch {
	root := familyOf(cpu.Arch)
	fits := fitTest(cpu)
	var candidates []microarch
	for _, m := range load().all {
		if m.name == root || m.is(root) && fits(m) {
			candidates = append(candidates, m)
		}
	}
	best := furthest(candidates, microarch.isGeneric)
	if best.name == "" {
		return microarch{name: root, vendor: genericVendor} // a family without a table
	}
	samePart := func(m microarch) bool {
		return cpu.Arch == "arm64" && m.id != "" && strings.EqualFold(m.id, cpu.Core)
	}
	byPart := slices.ContainsFunc(candidates, samePart)
	named := furthest(candidates, func(m microarch) bool {
		return m.name != best.name && m.is(best.name) && (!byPart || samePart(m))
	})
	if named.name != "" {
		return named
	}
	return best
}

// furthest returns the wanted one with the most ancestors, and then features.
func furthest(list []microarch, wanted func(microarch) bool) microarch {
	var best microarch
	for _, m := range list {
		if !wanted(m) {
			continue
		}
		further := cmp.Or(
			cmp.Compare(len(m.ancestors), len(best.ancestors)), cmp.Compare(len(m.features), len(best.features)))
		if best.name == "" || further > 0 {
			best = m
		}
	}
	return best
}

// fitTest returns a function that reports whether the CPU is of a
// micro-architecture of its own family.
func fitTest(cpu CPU) func(microarch) bool {
	switch cpu.Arch {
	case "amd64", "386":
		has := featureTest(cpu.Flags)
		return func(m microarch) bool { return (m.isGeneric() || m.vendor == cpu.Vendor) && has(m) }
	case "arm64":
		has, vendor := featureTest(cpu.Flags), armVendor(cpu.Vendor)
		// The generic levels have no features in the table; armLevelOf has.
		return func(m microarch) bool { return m.vendor == vendor && has(m) }
	case "ppc64", "ppc64le":
		_, rest, _ := strings.Cut(cpu.Core, "POWER") // the 9 of "POWER9, altivec supported"
		generation, _ := strconv.Atoi(rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))])
		// The table has no features of POWER: each generation has those before it.
		return func(m microarch) bool {
			least, err := strconv.Atoi(m.id)
			return err == nil && least <= generation
		}
	default: // riscv64 has names in the table
		return func(m microarch) bool {
			return slices.ContainsFunc(strings.Split(m.id, ";"), func(id string) bool {
				return id != "" && (id == cpu.Core || id == cpu.ModelName)
			})
		}
	}
}

// featureTest returns a function that reports whether a CPU with these flags has
// all features of a micro-architecture.
func featureTest(flags []string) func(microarch) bool {
	has := flagSet(flags)
	lacks := func(feature string) bool { return !has[feature] }
	return func(m microarch) bool { return !slices.ContainsFunc(m.features, lacks) }
}

// flagSet has the flags, and archspec's names of those that are known under others.
func flagSet(flags []string) map[string]bool {
	has := make(map[string]bool, len(flags)+1)
	for _, flag := range flags {
		has[flag] = true
	}
	for alias, name := range flagAliases() {
		if has[alias] {
			has[name] = true
		}
	}
	return has
}

// flagAliases are other names of features: those of archspec's own list, of kernels
// other than Linux (Darwin's, and those that only pretend to be Linux), and of
// compilers. What implies a feature is an alias of it too.
func flagAliases() map[string]string {
	return map[string]string{
		"pni": "sse3", "ssse3": "sse3", "sse4.1": "sse4_1", "sse41": "sse4_1", "sse4.2": "sse4_2", "sse42": "sse4_2",
		"lzcnt": "abm", "lahf": "lahf_lm", "cmpxchg16b": "cx16", "avx1.0": "avx", "fma3": "fma", "bmi": "bmi1",
		"pclmul": "pclmulqdq", "sha": "sha_ni", "clfsopt": "clflushopt", "rdrnd": "rdrand", "osxsave": "xsave",
		"avx512vnni": "avx512_vnni", "avx512vbmi2": "avx512_vbmi2", "avx512bitalg": "avx512_bitalg", "avx512bf16": "avx512_bf16",
		"avx512vpopcntdq": "avx512_vpopcntdq", "avx512vp2intersect": "avx512_vp2intersect", "avx512_vbmi": "avx512vbmi",
		"avx512_ifma": "avx512ifma", "avxvnni": "avx_vnni", "avxifma": "avx_ifma", "avxneconvert": "avx_ne_convert",
		"avxvnniint8": "avx_vnni_int8", "avxvnniint16": "avx_vnni_int16",
	}
}
