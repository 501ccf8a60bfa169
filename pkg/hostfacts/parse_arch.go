package hostfacts

import (
	"cmp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// archOf infers the architecture of a node from NFD's sets, each of which may be
// missing; empty if none tells it.
func archOf(features facts.Features) string {
	return cmp.Or(
		archOfFlags(features.Flags["cpu.cpuid"]),
		archOfConfig(features.Attributes["kernel.config"]),
		archOfRelease(features.Attributes["kernel.version"]["full"]),
		archOfVendor(features.Attributes["cpu.model"]["vendor_id"]),
	)
}

// archOfFlags goes by flags that only one architecture has.
func archOfFlags(flags []string) string {
	for _, of := range []struct{ arch, flags string }{
		{"arm64", "ASIMD"},
		{"amd64", "SSE2 SSE3 SSSE3 AVX AVX2 AVX512F AESNI X87 CMPXCHG8 SYSCALL LAHF X86_64_V1 X86_64_V2 X86_64_V3 X86_64_V4"},
		{"s390x", "ZARCH ESAN3 ETF3EH HIGHGPRS"},
		{"ppc64le", "PPC64 ARCH_2_07 ARCH_3_00 ARCH_3_1"},
		{"arm", "THUMB HALF FASTMUL FASTMULT"},
	} {
		if slices.ContainsFunc(strings.Fields(of.flags), func(flag string) bool { return slices.Contains(flags, flag) }) {
			return of.arch
		}
	}
	return ""
}

func archOfConfig(config map[string]string) string {
	for _, of := range [][2]string{
		{"X86_32", "386"}, {"X86_64", "amd64"}, {"X86", "amd64"}, {"ARM64", "arm64"}, {"ARM", "arm"}, {"S390", "s390x"},
		{"RISCV", "riscv64"}, {"LOONGARCH", "loong64"}, {"PPC64", "ppc64"},
	} {
		switch {
		case config[of[0]] != "y":
		case of[1] == "ppc64" && config["CPU_LITTLE_ENDIAN"] == "y":
			return "ppc64le"
		default:
			return of[1]
		}
	}
	return ""
}

// archOfRelease goes by the name that distributions append to the kernel's release:
// "6.1.134-152.225.amzn2023.x86_64", "6.1.0-9-powerpc64le".
func archOfRelease(release string) string {
	last := release[strings.LastIndexAny(release, "-.")+1:]
	return map[string]string{
		"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "ppc64le": "ppc64le", "powerpc64le": "ppc64le",
		"s390x": "s390x", "riscv64": "riscv64", "armmp": "arm",
	}[last]
}

func archOfVendor(vendor string) string {
	switch vendor {
	case "Intel", "AMD", "Hygon", "VIA":
		return "amd64"
	case "ARM", "Ampere", "Apple", "Broadcom", "Cavium", "Fujitsu", "Marvell", "Qualcomm":
		return "arm64"
	case "IBM_S390":
		return "s390x"
	default:
		return ""
	}
}
