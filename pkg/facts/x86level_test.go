package facts_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestX86LevelNeedsAllFlagsUpToIt(t *testing.T) {
	t.Parallel()
	upTo := func(level int, without string) func(string) bool {
		return func(flag string) bool {
			l := facts.X86LevelOfFlag(flag)
			return flag != without && l > 0 && l <= level
		}
	}
	for level := 1; level <= 4; level++ {
		if got := facts.X86Level(upTo(level, "")); got != level {
			t.Errorf("all flags of level %d give %d", level, got)
		}
	}
	for flag, want := range map[string]int{"AVX512VL": 3, "AVX2": 2, "OSXSAVE": 2, "SSE42": 1, "SSE2": 4} {
		if got := facts.X86Level(upTo(4, flag)); got != want {
			t.Errorf("without %s: level %d, want %d", flag, got, want)
		}
	}
	for flag, want := range map[string]int{"AVX2": 3, "AVX512BW": 4, "SSE2": 1, "CX16": 2, "X86_64_V3": 3, "AESNI": 0, "X86_64_V9": 0, "": 0, "avx2": 0} {
		if got := facts.X86LevelOfFlag(flag); got != want {
			t.Errorf("X86LevelOfFlag(%q) = %d, want %d", flag, got, want)
		}
	}
}
