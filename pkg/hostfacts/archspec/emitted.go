package archspec

import "strings"

// weight is what a missing feature means for a program that was built for a target.
// Without one, only a program that asks for the instructions has them, by an
// intrinsic, in assembler or by a library; whether this one does is not known.
type weight uint8

const (
	// emitted: compilers use the instructions for ordinary code as soon as the
	// target has them, so that the program does not run without.
	emitted weight = iota + 1
	// harmless: no program can tell, or each one asks at run time.
	harmless
)

// weights says what it means that a CPU of a family lacks a feature.
//
// Emitted is what GCC and Clang write into plain C at -O3, for loops, shifts, byte
// order, atomics and bits. GCC 12 and Clang 14 wrote MOVBE, LZCNT, BMI, FMA, AVX-512 F
// to VL, VBMI (for shuffles of bytes), SVE and DotProd into zlib, Lua and
// libjpeg-turbo; of the rest GCC's patterns are in gcc/config/i386/sse.md and i386.md
// (VNNI for sums of products, VPOPCNTDQ and BITALG for counts of bits, VBMI2 for
// shifts of two registers, FMA4 and XOP as soon as they are there) and in
// aarch64-sve2.md (WHILERW where pointers may overlap), aarch64.md (CSSC for minima,
// MOPS for memcpy) and atomics.md.
//
// Harmless are bits of model-specific registers (flush_l1d, tsc_adjust), what the
// kernel itself does for programs (cpuid, evtstrm), hints that other CPUs skip
// (dgh), and random numbers (rng), which hypervisors hide and programs look for.
func weights(family string) map[string]weight {
	names := map[string][2]string{
		"x86": {"mmx sse sse2 sse3", ""},
		"x86_64": {
			"mmx sse sse2 sse3 ssse3 sse4_1 sse4_2 popcnt avx avx2 fma fma4 xop tbm bmi1 bmi2 f16c abm movbe " +
				"avx512f avx512bw avx512cd avx512dq avx512vl avx512er avx512vbmi avx512_vbmi2 avx512_vnni " +
				"avx512_bitalg avx512_vpopcntdq avx_vnni avx_vnni_int8 avx_vnni_int16",
			"flush_l1d tsc_adjust",
		},
		"aarch64": {"fp asimd atomics lrcpc asimddp sve sve2 mops cssc", "cpuid evtstrm dgh rng ssbs"},
		"riscv64": {"m a f d c v zba zbb zbs", ""},
	}[family]
	w := map[string]weight{}
	for _, feature := range strings.Fields(names[0]) {
		w[feature] = emitted
	}
	for _, feature := range strings.Fields(names[1]) {
		w[feature] = harmless
	}
	return w
}
