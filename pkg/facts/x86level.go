package facts

import (
	"iter"
	"strings"
)

// x86LevelFlags returns the flags that a level of the x86-64 psABI adds, under the
// names that cpu.cpuid uses. Level 1 is what every amd64 CPU has.
func x86LevelFlags(level int) iter.Seq[string] {
	return strings.FieldsSeq([...]string{
		1: "CMOV CMPXCHG8 FXSR MMX SSE SSE2 SYSCALL X87",
		2: "CX16 LAHF POPCNT SSE3 SSE4 SSE42 SSSE3",
		3: "AVX AVX2 BMI1 BMI2 F16C FMA3 LZCNT MOVBE OSXSAVE",
		4: "AVX512BW AVX512CD AVX512DQ AVX512F AVX512VL",
	}[level])
}

// X86MaxLevel is the highest level of the psABI.
const X86MaxLevel = 4

// X86Level returns the x86-64 micro-architecture level, 1 to 4, of an amd64 CPU
// for which has reports whether it has a flag.
func X86Level(has func(flag string) bool) int {
	for level := 2; level <= X86MaxLevel; level++ {
		for flag := range x86LevelFlags(level) {
			if !has(flag) {
				return level - 1
			}
		}
	}
	return X86MaxLevel
}

// X86LevelOfFlag returns the x86-64 micro-architecture level that first brings
// flag: 2 for SSE42, 3 for AVX2, 4 for AVX512F, 1 for what every amd64 CPU has,
// and 0 for a flag that belongs to no level. The flags that name a level, such
// as X86_64_V3, belong to that level.
func X86LevelOfFlag(flag string) int {
	for level := 1; level <= X86MaxLevel; level++ {
		if flag == X86LevelName(level) {
			return level
		}
		for brought := range x86LevelFlags(level) {
			if brought == flag {
				return level
			}
		}
	}
	return 0
}

// X86LevelName is the cpu.cpuid flag of a level, as NFD 0.19 and later spell it.
func X86LevelName(level int) string {
	names := [...]string{"", "X86_64_V1", "X86_64_V2", "X86_64_V3", "X86_64_V4"}
	if level < 0 || level >= len(names) {
		return ""
	}
	return names[level]
}
