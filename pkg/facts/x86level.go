package facts

import (
	"slices"
	"strings"
	"sync"
)

// x86LevelFlags are the flags that each level of the x86-64 psABI adds, under the
// names that cpu.cpuid uses. Level 1 is what every amd64 CPU has.
var x86LevelFlags = sync.OnceValue(func() [X86MaxLevel][]string {
	return [...][]string{
		strings.Fields("CMOV CMPXCHG8 FXSR MMX SSE SSE2 SYSCALL X87"),
		strings.Fields("CX16 LAHF POPCNT SSE3 SSE4 SSE42 SSSE3"),
		strings.Fields("AVX AVX2 BMI1 BMI2 F16C FMA3 LZCNT MOVBE OSXSAVE"),
		strings.Fields("AVX512BW AVX512CD AVX512DQ AVX512F AVX512VL"),
	}
})

// X86MaxLevel is the highest level of the psABI.
const X86MaxLevel = 4

// X86Level returns the x86-64 micro-architecture level, 1 to 4, of an amd64 CPU
// for which has reports whether it has a flag.
func X86Level(has func(flag string) bool) int {
	lacks := func(flag string) bool { return !has(flag) }
	for level := 2; level <= X86MaxLevel; level++ {
		if slices.ContainsFunc(x86LevelFlags()[level-1], lacks) {
			return level - 1
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
		if flag == X86LevelName(level) || slices.Contains(x86LevelFlags()[level-1], flag) {
			return level
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
