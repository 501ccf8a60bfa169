package hostfacts

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// Parse reads facts as "imagefit facts -o json" or "nfd export features" wrote
// them. What NFD does not export, the architecture and the x86-64 level, is
// derived from the CPU flags.
func Parse(r io.Reader) (*facts.Facts, error) {
	doc, err := facts.Decode(r)
	if err != nil {
		return nil, err
	}
	if doc.Version > 0 {
		return facts.New(doc.OS, doc.Arch, doc.Features), nil
	}
	flags := doc.Features.Flags["cpu.cpuid"]
	arch, err := archOf(flags)
	if err != nil {
		return nil, fmt.Errorf("parse facts: %w", err)
	}
	level := levelOf(arch, flags)
	addX86Level(level, &doc.Features)
	addUnnamedCPU(arch, flags, "NFD does not export the micro-architecture", &doc.Features)
	return facts.New("linux", arch, doc.Features), nil
}

// archOf infers the architecture from flags that only one has.
func archOf(flags []string) (string, error) {
	switch {
	case slices.Contains(flags, "ASIMD"):
		return "arm64", nil
	case slices.Contains(flags, "SSE2"), slices.Contains(flags, facts.X86LevelName(1)),
		slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "X86_64_V") }):
		return "amd64", nil
	default:
		return "", errors.New("no version, and cpu.cpuid does not tell the architecture")
	}
}

// levelOf prefers the level that NFD names, and else works it out.
func levelOf(arch string, flags []string) int {
	if arch != "amd64" {
		return 0
	}
	has := func(flag string) bool { return slices.Contains(flags, flag) }
	for level := facts.X86MaxLevel; level > 1; level-- {
		if has(facts.X86LevelName(level)) {
			return level
		}
	}
	return facts.X86Level(has)
}
