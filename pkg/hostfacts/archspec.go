package hostfacts

import (
	"cmp"
	"fmt"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// collectArchspec sets cpu.archspec to the name of the CPU and of everything it
// descends from, so that "built for zen2" is a look-up on any CPU.
func collectArchspec(h host, out *facts.Features) error {
	err := h.cpuErr
	if err == nil && instructionSet(h.cpu.Arch) != instructionSet(h.arch) {
		// An emulator shows programs of one architecture the file of another.
		err = fmt.Errorf("proc/cpuinfo describes a %s CPU, not %s", h.cpu.Arch, h.arch)
	}
	if err != nil && h.live {
		_, level, _ := readCPUFlags(h) // CPUID may know more than proc/cpuinfo
		addUnnamedCPU(h.arch, level, facts.CauseOf(err), out)
		return nil
	}
	if err != nil {
		return err
	}
	cpu := h.cpu.CPU
	cpu.Arch = h.arch
	cpu.AnyByteOrder = !h.live && isPower(h.arch) && powerArch(h.root) == ""
	id := archspec.Identify(cpu)
	out.Flags["cpu.archspec"] = id.Lineage
	out.Attributes["cpu.microarchitecture"] = known(map[string]string{
		"name": id.Name, "vendor": id.Vendor, "family": id.Family, "generation": id.Generation,
	})
	out.Attributes["cpu.arm64"] = known(map[string]string{"level": id.ARMLevel})
	return nil
}

// instructionSet is the same for architectures that one CPU can have.
func instructionSet(arch string) string {
	return cmp.Or(map[string]string{"amd64": "386", "arm64": "arm", "ppc64le": "ppc64"}[arch], arch)
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
