package hostfacts

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/imagefit/imagefit/pkg/facts"
)

func archspecCollector() collector {
	return collector{collect: collectArchspec, sets: []facts.Set{
		{
			Name: "cpu.archspec", Kind: facts.Flags, Origin: "/proc/cpuinfo",
			Elements: "* (archspec's name of the CPU and of everything it descends from: `zen3`, `zen2`, `zen`, " +
				"`x86_64_v3` ...)",
		},
		{
			Name: "cpu.microarchitecture", Origin: "/proc/cpuinfo",
			Elements: "name (archspec's), vendor, family (`x86_64`, `aarch64` ...), generation (on POWER)",
		},
		{
			Name: "cpu.arm64", Origin: "/proc/cpuinfo",
			Elements: "level (`8.2` ...)",
			Note:     "empty on other architectures",
		},
	}}
}

// collectArchspec sets cpu.archspec to the name of the CPU and of everything it
// descends from, so that "built for zen2" is a look-up on any CPU.
func collectArchspec(h host, out *facts.Features) error {
	if err := describesCPU(h); err != nil {
		if !h.live {
			return err
		}
		_, level, _ := readCPUFlags(h) // may know what proc/cpuinfo does not tell
		addUnnamedCPU(h.arch, level, causeOf(err), out)
		return nil
	}
	m := recognise(h.arch, h.cpu)
	names := m.lineage()
	arm := map[string]string{}
	if h.arch == "arm64" {
		level := armLevelOf(h.cpu.flags, m)
		names = addMissing(names, level.names())
		arm["level"] = level.String()
	}
	if both := bothByteOrders(h); isPower(h.arch) && both != nil {
		names = addMissing(names, both)
		m = recognise("ppc64", h.cpu) // archspec's name of the CPU itself
	}
	out.Flags["cpu.archspec"] = names
	out.Attributes["cpu.arm64"] = arm
	out.Attributes["cpu.microarchitecture"] = map[string]string{
		"name": m.name, "vendor": m.vendor, "family": m.family(),
	}
	if isPower(h.arch) && m.id != "" {
		out.Attributes["cpu.microarchitecture"]["generation"] = m.id
	}
	return nil
}

// describesCPU says why proc/cpuinfo cannot tell the micro-architecture. An
// emulator shows programs of one architecture the file of another.
func describesCPU(h host) error {
	if h.cpuErr != nil {
		return h.cpuErr
	}
	if instructionSet(h.cpu.arch) != instructionSet(h.arch) {
		return fmt.Errorf("proc/cpuinfo describes a CPU of %s, not of %s", h.cpu.arch, h.arch)
	}
	return nil
}

// instructionSet is the same for architectures that one CPU can have.
func instructionSet(arch string) string {
	switch arch {
	case "amd64":
		return "386"
	case "arm64":
		return "arm"
	case "ppc64le":
		return "ppc64"
	default:
		return arch
	}
}

// addUnnamedCPU sets what is known of a CPU of which only the architecture and
// the x86-64 level are, 0 if not known: it is of the generic
// micro-architectures up to that level, and of none beyond it or of another
// family. Which of the rest it is, nobody knows.
func addUnnamedCPU(arch string, x86Level int, cause string, out *facts.Features) {
	const set = "cpu.archspec"
	root := archspecRoot(arch)
	known := []string{root}
	for level := 2; level <= x86Level; level++ {
		known = append(known, root+"_v"+strconv.Itoa(level))
	}
	out.Flags[set] = known
	table := loadArchspecs()
	beyond := func(name string) bool {
		m, _ := table.find(name)
		return x86Level > 0 && m.isGeneric() && !slices.Contains(known, name)
	}
	for _, m := range table.all {
		if !m.is(root) || beyond(m.name) || slices.ContainsFunc(m.ancestors, beyond) {
			out.Absent[set] = append(out.Absent[set], m.name)
		}
	}
	out.Unknown[set] = cause
	out.Unknown["cpu.microarchitecture"] = cause
	if arch == "arm64" {
		out.Unknown["cpu.arm64"] = cause
	} else {
		out.Attributes["cpu.arm64"] = map[string]string{}
	}
}
