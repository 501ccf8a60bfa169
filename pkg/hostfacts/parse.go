package hostfacts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/imagefit/imagefit/pkg/facts"
)

// Parse reads facts as "imagefit facts -o json" or "nfd export features" wrote
// them. What NFD does not export, the architecture, the x86-64 level and the CPU
// targets, is derived from the other sets.
func Parse(r io.Reader) (*facts.Facts, error) { return ParseFor(r, "") }

// ParseFor is Parse of facts of a node whose architecture is known, in GOARCH
// spelling; empty if it is not. It is an error if the facts are of another one.
func ParseFor(r io.Reader, arch string) (*facts.Facts, error) {
	doc, err := facts.Decode(r)
	if err != nil {
		return nil, err
	}
	if doc.Version > 0 {
		if arch != "" && doc.Arch != "" && doc.Arch != arch {
			return nil, fmt.Errorf("parse facts: they are of a node of %s, not %s", doc.Arch, arch)
		}
		return facts.New(doc.OS, cmp.Or(doc.Arch, arch), doc.Features), nil
	}
	if len(doc.Features.Sets()) == 0 {
		return nil, errors.New("parse facts: there are no sets of facts")
	}
	arch = cmp.Or(arch, archOf(doc.Features))
	completeExport(arch, &doc.Features)
	return facts.New("linux", arch, doc.Features), nil
}

// completeExport adds what NFD does not export. A set that NFD was told not to publish
// stays unknown, and so does what follows from it.
func completeExport(arch string, features *facts.Features) {
	published := features.Sets()
	for _, set := range Sets() {
		switch {
		case slices.Contains(published, set.Name):
		case set.NFD:
			features.Unknown[set.Name] = "it is not among what NFD published of the node"
		default:
			features.Unknown[set.Name] = "NFD does not collect it"
		}
	}
	for _, derived := range []string{"cpu.x86_64", "cpu.archspec", "cpu.microarchitecture", "cpu.arm64"} {
		delete(features.Unknown, derived)
	}
	flags, hasFlags := features.Flags["cpu.cpuid"]
	switch {
	case arch != "" && arch != "amd64":
		addX86Level(0, features)
	case !hasFlags || arch == "":
		features.Unknown["cpu.x86_64"] = "NFD's facts do not have cpu.cpuid or the architecture"
	default:
		addX86Level(levelOf(arch, flags), features)
	}
	addUnnamedCPU(arch, flags, "NFD does not export the micro-architecture", features)
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
