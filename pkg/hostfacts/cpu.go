package hostfacts

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectCPUID reads the CPU flags and what follows from them.
func collectCPUID(h host, out *facts.Features) error {
	flags, level, err := readCPUFlags(h)
	if err != nil {
		return err
	}
	for l := 1; l <= level; l++ {
		flags = append(flags, facts.X86LevelName(l))
	}
	out.Flags["cpu.cpuid"] = flags
	addAVX10Version(h, flags, out)
	if h.asksCPU() {
		out.Origins["cpu.cpuid"], out.Origins["cpu.x86_64"] = "CPUID", "CPUID"
	}
	addX86Level(level, out)
	return nil
}

// asksCPU reports whether the CPUID instruction describes this host.
func (h host) asksCPU() bool { return h.live && h.arch == "amd64" }

// addAVX10Version sets the one attribute that cpu.cpuid has in addition to its
// flags. The kernel does not show it.
func addAVX10Version(h host, flags []string, out *facts.Features) {
	const version = "AVX10_VERSION"
	switch {
	case h.asksCPU() && cpuid.CPU.AVX10Level > 0:
		out.Attributes["cpu.cpuid"] = map[string]string{version: strconv.Itoa(int(cpuid.CPU.AVX10Level))}
	case !h.asksCPU() && slices.Contains(flags, "AVX10"):
		out.Unknown["cpu.cpuid/"+version] = "/proc/cpuinfo does not show the version of AVX10"
	}
}

// readCPUFlags returns the flags and, on amd64, the x86-64 level. They come from
// CPUID when the CPU is the one this process runs on; on arm64 the kernel's list
// is equivalent.
func readCPUFlags(h host) ([]string, int, error) {
	if h.asksCPU() {
		level := cpuid.CPU.X64Level()
		if level == 0 {
			return nil, 0, errors.New("CPUID reports no x86-64 level")
		}
		return cpuid.CPU.FeatureSet(), level, nil
	}
	if h.cpuErr != nil {
		return nil, 0, h.cpuErr
	}
	if isPower(h.arch) {
		flags, err := powerFlags(h)
		return flags, 0, err
	}
	flags, ok := cpuFlags(h.cpu)
	if !ok {
		return nil, 0, fmt.Errorf("CPU flags are not collected on %s", h.arch)
	}
	if h.arch != "amd64" {
		return flags, 0, nil
	}
	return flags, facts.X86Level(func(flag string) bool { return slices.Contains(flags, flag) }), nil
}

// addX86Level sets cpu.x86_64.
func addX86Level(level int, out *facts.Features) {
	out.Attributes["cpu.x86_64"] = map[string]string{}
	if level > 0 {
		out.Attributes["cpu.x86_64"]["level"] = strconv.Itoa(level)
	}
}

func collectCPUModel(h host, out *facts.Features) error {
	c := h.cpu
	var vendor string
	switch {
	case h.asksCPU():
		out.Origins["cpu.model"] = "CPUID"
		c.Vendor = cpuid.CPU.VendorString
		c.family, c.has.family = cpuid.CPU.Family, true
		c.model, c.has.model = cpuid.CPU.Model, true
		vendor = knownVendor(cpuid.CPU.VendorID)
	case h.cpuErr != nil:
		return h.cpuErr
	default:
		vendor = vendorName(c.Vendor)
	}
	out.Attributes["cpu.model"] = map[string]string{}
	setKnown := func(element, value string, known bool) {
		var err error
		if !known {
			err = fmt.Errorf("the CPU (vendor %q) does not report it", c.Vendor)
		}
		setElement(out, "cpu.model", element, value, err)
	}
	setKnown("vendor_id", vendor, vendor != "")
	setKnown("family", cmp.Or(c.familyText, strconv.Itoa(c.family)), c.has.family || c.familyText != "")
	setKnown("id", cmp.Or(c.modelText, strconv.Itoa(c.model)), c.has.model || c.modelText != "")
	hypervisor, err := readHypervisor(h)
	setElement(out, "cpu.model", "hypervisor", hypervisor, err)
	return nil
}

func knownVendor(v cpuid.Vendor) string {
	if v == cpuid.VendorUnknown {
		return ""
	}
	return v.String()
}

// vendorName returns NFD's spelling of a vendor in proc/cpuinfo; it is empty for
// a vendor NFD has no name for.
func vendorName(vendor string) string {
	names := map[string]cpuid.Vendor{
		"AuthenticAMD": cpuid.AMD,
		"CentaurHauls": cpuid.VIA,
		"GenuineIntel": cpuid.Intel,
		"HygonGenuine": cpuid.Hygon,
		"0x41":         cpuid.ARM,
		"0x42":         cpuid.Broadcom,
		"0x43":         cpuid.Cavium,
		"0x46":         cpuid.Fujitsu,
		"0x4e":         cpuid.NVIDIA,
		"0x50":         cpuid.AMCC,
		"0x51":         cpuid.Qualcomm,
		"0x56":         cpuid.Marvell,
		"0x61":         cpuid.Apple,
		"0xc0":         cpuid.Ampere,
	}
	if vendor == "IBM/S390" { // of NFD's own
		return labelText(vendor)
	}
	return knownVendor(names[vendor])
}

// collectHybrid finds the kinds of cores that Intel's hybrid CPUs have.
func collectHybrid(h host, out *facts.Features) error {
	out.Flags["cpu.hybrid"] = []string{}
	for _, kind := range []string{"cpu_core", "cpu_atom"} {
		exists, err := existsIn(h.root, "sys/devices", "sys/devices/"+kind+"/cpus")
		if err != nil {
			return err
		}
		if exists {
			out.Flags["cpu.hybrid"] = append(out.Flags["cpu.hybrid"], kind)
		}
	}
	return nil
}

// collectTopology looks at every CPU that is online.
func collectTopology(h host, out *facts.Features) error {
	const dir = "sys/devices/system/cpu"
	names, err := h.root.ReadDir(dir)
	if err != nil {
		return err
	}
	multithreading := false
	sockets := map[string]struct{}{}
	for _, name := range numbered(names, "cpu") {
		siblings, err := readTrimmed(h.root, dir+"/"+name+"/topology/thread_siblings_list")
		if errors.Is(err, fs.ErrNotExist) {
			continue // offline
		}
		if err != nil {
			return err
		}
		socket, err := readTrimmed(h.root, dir+"/"+name+"/topology/physical_package_id")
		if err != nil {
			return err
		}
		multithreading = multithreading || strings.ContainsAny(siblings, ",-")
		sockets[socket] = struct{}{}
	}
	if len(sockets) == 0 {
		return fmt.Errorf("no CPU in /%s has a topology", dir)
	}
	out.Attributes["cpu.topology"] = map[string]string{
		"hardware_multithreading": strconv.FormatBool(multithreading),
		"socket_count":            strconv.Itoa(len(sockets)),
	}
	return nil
}

// collectCoprocessor looks for the gzip accelerator of POWER. Other
// architectures do not have it.
func collectCoprocessor(h host, out *facts.Features) error {
	nxGzip, err := existsIn(h.root, "sys/devices", "sys/devices/vio/ibm,compression-v1/nx_gzip_caps")
	out.Attributes["cpu.coprocessor"] = map[string]string{}
	if nxGzip {
		out.Attributes["cpu.coprocessor"]["nx_gzip"] = "true"
	}
	return err
}
