package hostfacts

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
)

// collectArchspec sets cpu.archspec to the targets that the CPU runs, so that
// "built for zen2" is a look-up on any CPU.
func collectArchspec(h host, out *facts.Features) error {
	err := h.cpuErr
	if err == nil && instructionSet(h.cpu.Arch) != instructionSet(h.arch) {
		// An emulator shows programs of one architecture the file of another.
		err = fmt.Errorf("proc/cpuinfo describes a %s CPU, not %s", h.cpu.Arch, h.arch)
	}
	if err != nil && h.live {
		flags, _, _ := readCPUFlags(h) // CPUID may know more than proc/cpuinfo
		addUnnamedCPU(h.arch, flags, facts.CauseOf(err), out)
		return nil
	}
	if err != nil {
		return err
	}
	cpu := h.cpu.CPU
	cpu.Arch = h.arch
	cpu.AnyByteOrder = !h.live && isPower(h.arch) && powerArch(h.root) == ""
	if h.asksCPU() { // a kernel older than the CPU does not name all of its features
		flags, _, _ := readCPUFlags(h)
		cpu.Flags = append(slices.Clone(cpu.Flags), kernelFlags(h.arch, flags)...)
	}
	id := archspec.Identify(cpu)
	addTargets(archspec.FitOf(cpu), out)
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

// addTargets sets cpu.archspec. What is neither known nor unknown of it is absent.
func addTargets(fit archspec.Fit, out *facts.Features) {
	out.Flags["cpu.archspec"] = fit.Runs
	for name, cause := range fit.Unsure {
		out.Unknown["cpu.archspec/"+name] = cause
	}
}

// addUnnamedCPU sets what is known of a CPU of which only the architecture and
// the flags under NFD's names are, none if not known.
func addUnnamedCPU(arch string, flags []string, cause string, out *facts.Features) {
	out.Unknown["cpu.microarchitecture"] = cause
	if arch == "arm64" || arch == "" {
		out.Unknown["cpu.arm64"] = cause
	} else {
		out.Attributes["cpu.arm64"] = map[string]string{}
	}
	cpu := archspec.CPU{Arch: arch}
	switch {
	case arch == "":
		out.Unknown["cpu.archspec"] = cause
		return
	case arch == "amd64" || arch == "386":
		names := kernelNames()
		cpu.Flags = kernelFlags(arch, flags)
		cpu.Shows = func(feature string) bool { return len(flags) > 0 && names[feature] != nil }
	case isPower(arch):
		cpu.Core = powerGeneration(flags)
	default:
		cpu.Flags = kernelFlags(arch, flags)
		cpu.Shows = func(string) bool { return len(flags) > 0 }
	}
	fit := archspec.FitOf(cpu)
	addTargets(fit, out)
	if isPower(arch) && cpu.Core == "" { // of its family, and which of that is not known
		out.Unknown["cpu.archspec"] = cause
	}
}
