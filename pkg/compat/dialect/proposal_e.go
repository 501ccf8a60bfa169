package dialect

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// cpuFeature returns the flags of cpu.cpuid for a feature of Proposal E. It
// reports false for a name that the architecture does not have.
func cpuFeature(arch, name string) (flags []string, ok bool) {
	switch arch {
	case "amd64", "386":
		for line := range strings.Lines(x86Features) {
			if words := strings.Fields(line); words[0] == name {
				return words[1:], true
			}
		}
		// all others have the same name
		return []string{strings.ToUpper(name)}, slices.Contains(strings.Fields(x86SameFeatures), name)
	case "arm64":
		return []string{strings.ToUpper(name)}, slices.Contains(strings.Fields(arm64Features), name)
	case "arm":
		return facts.ARMFlags([]string{name}), slices.Contains(strings.Fields(armFeatures), name)
	default:
		return nil, false
	}
}

// x86Features has names of golang.org/x/sys/cpu, each with those of cpu.cpuid.
const x86Features = `aes AESNI
avx512 AVX512F AVX512CD AVX512BW AVX512DQ AVX512VL
avx512gfni GFNI
avx512vaes VAES
avx512vpclmulqdq VPCLMULQDQ
fma FMA3
pclmulqdq CLMUL
sse41 SSE4
`

// x86SameFeatures are the names that are the same but for their case.
const x86SameFeatures = `adx avx avx2 avx512f avx512cd avx512er avx512pf avx512vl avx512bw avx512dq
avx512ifma avx512vbmi avx512vpopcntdq avx512vnni avx512vbmi2 avx512bitalg avx512bf16
amxtile amxint8 amxbf16 bmi1 bmi2 cx16 erms f16c lahf lzcnt movbe osxsave popcnt rdrand rdseed
sse2 sse3 ssse3 sse42 avxifma avxvnni avxvnniint8 xsave`

const arm64Features = `fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm
jscvt fcma lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve sve2 asimdfhm dit i8mm`

const armFeatures = `swp half thumb 26bit fastmul fpa vfp edsp java iwmmxt crunch thumbee neon vfpv3
vfpv3d16 tls vfpv4 idiva idivt vfpd32 lpae evtstrm aes pmull sha1 sha2 crc32`
