package hostfacts

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/nvidia"
	"github.com/imagefit/imagefit/pkg/version"
)

const (
	nvidiaSet = "gpu.nvidia"
	nvidiaDir = "proc/driver/nvidia"
	// maxDriverText bounds the small texts that drivers print.
	maxDriverText = 64 << 10
)

func describeNVIDIA(root Root, gpus []gpu, out *facts.Features) {
	set := out.Attributes[nvidiaSet]
	driver, err := nvidiaDriver(root)
	if err != nil {
		for _, element := range []string{"driver_version", "cuda_version", "kernel_module"} {
			out.Unknown[nvidiaSet+"/"+element] = facts.CauseOf(err)
		}
	}
	maps.Copy(set, known(map[string]string{
		"driver_version": driver.version, "cuda_version": nvidia.CUDAOf(driver.version), "kernel_module": driver.kind,
	}))
	if driver.version != "" && set["cuda_version"] == "" {
		out.Unknown[nvidiaSet+"/cuda_version"] = "no known CUDA version for driver " + driver.version
	}
	for _, g := range gpus {
		describeNVIDIADevice(root, g, driver, set["cuda_version"], out)
	}
	leastCapability(gpus, out)
	shareElement(out, nvidiaSet, "architecture", gpus)
	shareElement(out, nvidiaSet, "model", gpus)
	shareBrand(gpus, out)
	describeTegra(gpus, driver, out)
	leastMemory(out, nvidiaSet, "the NVIDIA driver reports the memory size only through NVML", gpus)
}

func describeNVIDIADevice(root Root, g gpu, driver nvidiaModule, cuda string, out *facts.Features) {
	if chip, ok := nvidiaChipOf(g.device); ok {
		g.facts["architecture"], g.facts["compute_capability"] = chip.architecture, chip.capability
	}
	if driver.version == "" {
		return
	}
	// A GPU that the driver has listed is bound to it, also in a copy of the files
	// without links.
	data, err := root.ReadHead(nvidiaDir+"/gpus/"+g.address+"/information", maxDriverText)
	if err != nil && g.driver != "nvidia" {
		return
	}
	maps.Copy(g.facts, known(map[string]string{"driver_version": driver.version, "cuda_version": cuda}))
	if err != nil {
		out.Unknown[nvidiaSet+"/model"] = facts.CauseOf(err)
		return
	}
	// Before its first use, a GPU may call itself "Unknown". The file also has its
	// UUID, which is not a fact.
	if model := lineAfter(data, "Model:"); model != "" && model != "Unknown" {
		g.facts["model"] = model
		if brand := nvidia.BrandOf(model); brand != "" {
			g.facts["brand"] = brand
		}
		return
	}
	out.Unknown[nvidiaSet+"/model"] = "the driver does not report the model of GPU " + g.address
}

// leastCapability gives the set the lowest compute capability, which is what
// all GPUs can do.
func leastCapability(gpus []gpu, out *facts.Features) {
	least := ""
	for _, g := range gpus {
		capability := g.facts["compute_capability"]
		if capability == "" {
			out.Unknown[nvidiaSet+"/compute_capability"] = "the compute capability of NVIDIA device " + g.device + " is not known"
			out.Unknown[nvidiaSet+"/architecture"] = "the architecture of NVIDIA device " + g.device + " is not known"
			return
		}
		if order, ok := version.Compare(capability, least); least == "" || ok && order < 0 {
			least = capability
		}
	}
	if least != "" {
		out.Attributes[nvidiaSet]["compute_capability"] = least
	}
}

// shareBrand gives the set the brand of its GPUs. Which of several a container gets
// is not known, so that of GPUs of different brands it is not either.
func shareBrand(gpus []gpu, out *facts.Features) {
	brands := map[string]bool{}
	for _, g := range gpus {
		brands[g.facts["brand"]] = true
	}
	all := slices.Sorted(maps.Keys(brands))
	switch {
	case brands[""]:
		out.Unknown[nvidiaSet+"/brand"] = "the driver does not report a model whose brand is known"
	case len(all) > 1:
		out.Unknown[nvidiaSet+"/brand"] = "the GPUs are of several brands: " + strings.Join(all, ", ")
	default:
		out.Attributes[nvidiaSet]["brand"] = all[0]
	}
}

// nvidiaModule is NVIDIA's kernel module; the zero value is one that is not
// loaded.
type nvidiaModule struct {
	version string
	kind    string // open or proprietary
}

func nvidiaDriver(root Root) (nvidiaModule, error) {
	data, err := root.ReadHead(nvidiaDir+"/version", maxDriverText)
	if err == nil {
		if m, ok := parseNVRM(data); ok {
			return m, nil
		}
		err = fs.ErrNotExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nvidiaModule{}, err
	}
	text, err := readIn(root, "sys/module", "sys/module/nvidia/version")
	return nvidiaModule{version: text}, err
}

// parseNVRM reads proc/driver/nvidia/version, whose first line is
//
//	NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (...)
func parseNVRM(data []byte) (nvidiaModule, bool) {
	line := lineAfter(data, "NVRM version:")
	m := nvidiaModule{kind: "proprietary"}
	if strings.Contains(line, "Open Kernel Module") {
		m.kind = "open"
	}
	for field := range strings.FieldsSeq(line) {
		if isDottedNumber(field) {
			m.version = field
			return m, true
		}
	}
	return nvidiaModule{}, false
}

// isDottedNumber reports whether s is at least two numbers joined by dots.
func isDottedNumber(s string) bool {
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if part == "" || leadingDigits(part) != part {
			return false
		}
	}
	return len(parts) > 1
}

func nvidiaChipOf(device string) (nvidiaChip, bool) {
	id, err := strconv.ParseUint(device, 16, 16)
	for _, chip := range nvidiaChips() {
		if err == nil && id >= chip.first && id <= chip.last {
			return chip, true
		}
	}
	return nvidiaChip{}, false
}
