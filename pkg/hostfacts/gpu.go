package hostfacts

import (
	"errors"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// gpu is one GPU on the PCI bus, with its attributes in gpu.device.
type gpu struct {
	pciFunction
	driver string // the kernel driver bound to it, or empty
	facts  map[string]string
}

func collectGPUs(h host, out *facts.Features) error {
	functions, err := functionsOfClass(h.root, "03", "12") // displays and processing accelerators
	if err != nil {
		return err
	}
	onChip, err := gpusBesidePCI(h.root, functions)
	if err != nil {
		return err
	}
	out.Instances["gpu.device"], out.Flags["gpu.gfx"] = []map[string]string{}, []string{}
	for _, vendor := range []struct {
		name     string
		describe func(Root, []gpu, *facts.Features)
	}{{"nvidia", describeNVIDIA}, {"amd", describeAMD}, {"intel", describeIntel}} {
		gpus := gpusOf(h.root, vendor.name, functions)
		if vendor.name == "nvidia" {
			gpus = append(gpus, onChip...)
		}
		out.Attributes["gpu."+vendor.name] = map[string]string{"count": strconv.Itoa(len(gpus))}
		if len(gpus) > 0 {
			vendor.describe(h.root, gpus, out)
		}
		for _, g := range gpus {
			out.Instances["gpu.device"] = append(out.Instances["gpu.device"], g.facts)
		}
	}
	return nil
}

// gpusBesidePCI returns the GPU of a Tegra chip, which is not on the PCI bus, and an
// error where the node has one that cannot be identified.
func gpusBesidePCI(root Root, functions []pciFunction) ([]gpu, error) {
	const microsoft, paravirtual = "1414", "008e"
	for _, f := range functions {
		if f.vendor == microsoft && f.device == paravirtual {
			return nil, errors.New("the GPU is paravirtual (dxgkrnl) and cannot be identified")
		}
	}
	onChip, err := root.Exists("sys/module/nvgpu")
	if err == nil && onChip {
		tegra, ok := tegraGPU(root)
		if !ok {
			return nil, errors.New("the GPU is part of a Tegra chip (nvgpu) and cannot be identified")
		}
		return []gpu{tegra}, nil
	}
	return nil, nil
}

// gpusOf returns the GPUs of one vendor, without virtual functions of a GPU that is
// in the node itself.
func gpusOf(root Root, vendor string, functions []pciFunction) []gpu {
	var gpus []gpu
	for _, f := range functions {
		if f.gpuVendor() != vendor || root.stat(f.dir()+"/physfn") == nil {
			continue
		}
		g := gpu{pciFunction: f, facts: map[string]string{
			"vendor": vendor, "address": f.address, "class": f.class, "vendor_id": f.vendor, "device_id": f.device,
		}}
		if link, err := root.Readlink(f.dir() + "/driver"); err == nil {
			g.driver = path.Base(link)
			g.facts["driver"] = g.driver
		}
		gpus = append(gpus, g)
	}
	return gpus
}

// gpuVendor names the vendor of a GPU. Some of AMD's processing accelerators are
// GPUs, none of Intel's.
func (f pciFunction) gpuVendor() string {
	isDisplay := strings.HasPrefix(f.class, "03")
	switch {
	case f.vendor == "10de" && isDisplay:
		return "nvidia"
	case f.vendor == "1002" && (isDisplay || f.class == "1200"):
		return "amd"
	case f.vendor == "8086" && isDisplay:
		return "intel"
	}
	return ""
}

// shareElement gives the set the element that all its GPUs have in common.
// Where they differ, or one lacks it, the set lacks it too.
func shareElement(out *facts.Features, set, element string, gpus []gpu) {
	value := gpus[0].facts[element]
	if !slices.ContainsFunc(gpus, func(g gpu) bool { return g.facts[element] != value }) {
		setElement(out, set, element, value, nil)
	}
}

// leastMemory gives the set the memory of its smallest GPU. It is unknown when
// that of one of them is.
func leastMemory(out *facts.Features, set, cause string, gpus []gpu) {
	least := uint64(math.MaxUint64)
	for _, g := range gpus {
		size, err := strconv.ParseUint(g.facts["memory_mib"], 10, 64)
		if err != nil {
			out.Unknown[set+"/memory_mib"] = cause
			return
		}
		least = min(least, size)
	}
	if len(gpus) > 0 {
		out.Attributes[set]["memory_mib"] = strconv.FormatUint(least, 10)
	}
}

// setDriverVersion gives the set and its GPUs the version of a kernel module. It
// is absent without the module, and with one of the kernel's own source, which has
// no version.
func setDriverVersion(root Root, out *facts.Features, set, module string, gpus []gpu) {
	version, err := readIn(root, "sys/module", "sys/module/"+module+"/version")
	setElement(out, set, "driver_version", version, err)
	for _, g := range gpus {
		if g.driver == module && version != "" {
			g.facts["driver_version"] = version
		}
	}
}

// readMiB reads a number of bytes from a file, in MiB. It is empty when the file
// is missing or contains something else.
func readMiB(root Root, name string) string {
	text, _ := readTrimmed(root, name)
	size, err := strconv.ParseUint(text, 10, 64)
	if err != nil || size < 1<<20 {
		return ""
	}
	return strconv.FormatUint(size>>20, 10)
}
