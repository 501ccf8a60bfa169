package hostfacts

import (
	"fmt"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// collectArchspec sets cpu.archspec to the name of the CPU and of everything it
// descends from, so that "built for zen2" is a look-up on any CPU.
func collectArchspec(h host, out *facts.Features) error {
	if err := describesCPU(h); err != nil {
		if !h.live {
			return err
		}
		_, level, _ := readCPUFlags(h) // CPUID may know more than proc/cpuinfo
		addUnnamedCPU(h.arch, level, facts.CauseOf(err), out)
		return nil
	}
	cpu := h.cpu.CPU
	cpu.Arch = h.arch
	cpu.AnyByteOrder = !h.live && isPower(h.arch) && powerArch(h.root) == ""
	id := archspec.Identify(cpu)
	out.Flags["cpu.archspec"] = id.Lineage
	out.Attributes["cpu.microarchitecture"] = map[string]string{"name": id.Name, "vendor": id.Vendor, "family": id.Family}
	if id.Generation != "" {
		out.Attributes["cpu.microarchitecture"]["generation"] = id.Generation
	}
	out.Attributes["cpu.arm64"] = map[string]string{}
	if id.ARMLevel != "" {
		out.Attributes["cpu.arm64"]["level"] = id.ARMLevel
	}
	return nil
}

// describesCPU returns why proc/cpuinfo does not identify the CPU. An emulator
// shows programs of one architecture the file of another.
func describesCPU(h host) error {
	if h.cpuErr != nil {
		return h.cpuErr
	}
	if instructionSet(h.cpu.Arch) != instructionSet(h.arch) {
		return fmt.Errorf("proc/cpuinfo describes a %s CPU, not %s", h.cpu.Arch, h.arch)
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
// the x86-64 level are, 0 if not known.
func addUnnamedCPU(arch string, x86Level int, cause string, out *facts.Features) {
	out.Flags["cpu.archspec"], out.Absent["cpu.archspec"] = archspec.Unnamed(arch, x86Level)
	out.Unknown["cpu.archspec"] = cause
	out.Unknown["cpu.microarchitecture"] = cause
	if arch == "arm64" {
		out.Unknown["cpu.arm64"] = cause
	} else {
		out.Attributes["cpu.arm64"] = map[string]string{}
	}
}
