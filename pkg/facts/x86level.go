package facts

// leveledFlag is a CPU flag and the x86-64 level that first brings it.
type leveledFlag struct {
	flag  string
	level int
}

// x86LevelFlags is the table of the x86-64 psABI, under the names that
// cpu.cpuid uses. It is an array, because every evaluation reads it. Level 1 is what every amd64 CPU has.
func x86LevelFlags() [29]leveledFlag {
	return [...]leveledFlag{
		{"CMOV", 1},
		{"CMPXCHG8", 1},
		{"FXSR", 1},
		{"MMX", 1},
		{"SSE", 1},
		{"SSE2", 1},
		{"SYSCALL", 1},
		{"X87", 1},
		{"CX16", 2},
		{"LAHF", 2},
		{"POPCNT", 2},
		{"SSE3", 2},
		{"SSE4", 2},
		{"SSE42", 2},
		{"SSSE3", 2},
		{"AVX", 3},
		{"AVX2", 3},
		{"BMI1", 3},
		{"BMI2", 3},
		{"F16C", 3},
		{"FMA3", 3},
		{"LZCNT", 3},
		{"MOVBE", 3},
		{"OSXSAVE", 3},
		{"AVX512BW", 4},
		{"AVX512CD", 4},
		{"AVX512DQ", 4},
		{"AVX512F", 4},
		{"AVX512VL", 4},
	}
}

// X86MaxLevel is the highest level of the psABI.
const X86MaxLevel = 4

// X86Level returns the x86-64 micro-architecture level, 1 to 4, of an amd64 CPU
// for which has reports whether it has a flag.
func X86Level(has func(flag string) bool) int {
	level := X86MaxLevel
	for _, f := range x86LevelFlags() {
		if f.level > 1 && f.level <= level && !has(f.flag) {
			level = f.level - 1
		}
	}
	return level
}

// X86LevelOfFlag returns the x86-64 micro-architecture level that first brings
// flag: 2 for SSE42, 3 for AVX2, 4 for AVX512F, 1 for what every amd64 CPU has,
// and 0 for a flag that belongs to no level. The flags that name a level, such
// as X86_64_V3, belong to that level.
func X86LevelOfFlag(flag string) int {
	for _, f := range x86LevelFlags() {
		if f.flag == flag {
			return f.level
		}
	}
	for level := 1; level <= X86MaxLevel; level++ {
		if flag == X86LevelName(level) {
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
