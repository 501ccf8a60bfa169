package isa

import (
	"iter"
	"math/bits"
)

// Extension is one instruction set extension. Its text is the CPU flag that NFD
// has for it.
type Extension uint8

// The extensions of x86-64 beyond SSE2, which every such CPU has.
const (
	SSE3 Extension = iota
	SSSE3
	SSE4
	SSE42
	POPCNT
	CX16
	LAHF
	AVX
	AVX2
	FMA3
	F16C
	BMI1
	BMI2
	LZCNT
	MOVBE
	AVX512F
	AVX512VL
	AVX512BW
	AVX512DQ
	AVX512CD
	AVX512VBMI
	AVX512VBMI2
	AVX512VNNI
	AVX512BITALG
	AVX512VPOPCNTDQ
	AVX512IFMA
	AVX512BF16
	AVX512FP16
	AVX512VP2INTERSECT
	AVX512ER
	AVX512PF
	AVX5124FMAPS
	AVX5124VNNIW
	AVXVNNI
	AVXVNNIINT8
	AVXVNNIINT16
	AVXIFMA
	AVXNECONVERT
	AESNI
	VAES
	CLMUL
	VPCLMULQDQ
	GFNI
	SHA
	SM3
	SM4
	ADX
	SSE4A
	FMA4
	XOP
	TBM
	LWP
	AMD3DNOW
	RDRAND
	RDSEED
	CMPCCXADD
	AMXTILE
	AMXINT8
	AMXBF16
)

// The extensions of 64-bit Arm beyond Armv8.0 with floating point and SIMD.
const (
	CRC32 Extension = iota
	AES
	SHA1
	SHA2
	ATOMICS
	ASIMDRDM
	ASIMDHP
	FPHP
	ASIMDDP
	ASIMDFHM
	FCMA
	JSCVT
	LRCPC
	ILRCPC
	PACA
	FLAGM
	FRINT
	SHA3
	SHA512
	ARMSM3
	ARMSM4
	I8MM
	BF16
	SVE
	SVE2
	SME
	MOPS
	CSSC
)

func x86Names() []string {
	return []string{
		"SSE3", "SSSE3", "SSE4", "SSE42", "POPCNT", "CX16", "LAHF", "AVX", "AVX2", "FMA3", "F16C", "BMI1", "BMI2", "LZCNT", "MOVBE",
		"AVX512F", "AVX512VL", "AVX512BW", "AVX512DQ", "AVX512CD", "AVX512VBMI", "AVX512VBMI2", "AVX512VNNI", "AVX512BITALG",
		"AVX512VPOPCNTDQ", "AVX512IFMA", "AVX512BF16", "AVX512FP16", "AVX512VP2INTERSECT", "AVX512ER", "AVX512PF", "AVX5124FMAPS",
		"AVX5124VNNIW", "AVXVNNI", "AVXVNNIINT8", "AVXVNNIINT16", "AVXIFMA", "AVXNECONVERT", "AESNI", "VAES", "CLMUL", "VPCLMULQDQ",
		"GFNI", "SHA", "SM3_X86", "SM4_X86", "ADX", "SSE4A", "FMA4", "XOP", "TBM", "LWP", "AMD3DNOW", "RDRAND", "RDSEED", "CMPCCXADD",
		"AMXTILE", "AMXINT8", "AMXBF16",
	}
}

func armNames() []string {
	return []string{
		"CRC32", "AES", "SHA1", "SHA2", "ATOMICS", "ASIMDRDM", "ASIMDHP", "FPHP", "ASIMDDP", "ASIMDFHM", "FCMA", "JSCVT", "LRCPC",
		"ILRCPC", "PACA", "FLAGM", "FRINT", "SHA3", "SHA512", "SM3", "SM4", "I8MM", "BF16", "SVE", "SVE2", "SME", "MOPS", "CSSC",
	}
}

// set is a set of extensions of one architecture.
type set uint64

func of(extensions ...Extension) set {
	var s set
	for _, e := range extensions {
		s |= 1 << e
	}
	return s
}

func (s set) all() iter.Seq[Extension] {
	return func(yield func(Extension) bool) {
		for rest := uint64(s); rest != 0; rest &= rest - 1 {
			if !yield(Extension(bits.TrailingZeros64(rest))) {
				return
			}
		}
	}
}
