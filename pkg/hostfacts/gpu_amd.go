package hostfacts

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/version"
)

const amdSet = "gpu.amd"

func describeAMD(root Root, gpus []gpu, out *facts.Features) {
	set := out.Attributes[amdSet]
	setDriverVersion(root, out, amdSet, "amdgpu", gpus)
	targets, err := kfdTargets(root)
	if err != nil {
		out.Unknown[amdSet+"/gfx_target"] = facts.CauseOf(err)
		out.Unknown[amdSet+"/gfx_targets"] = facts.CauseOf(err)
		out.Unknown["gpu.gfx"] = facts.CauseOf(err)
	}
	for _, g := range gpus {
		model, _ := readTrimmed(root, g.dir()+"/product_name")
		maps.Copy(g.facts, known(map[string]string{
			"gfx_target": targets[g.address], "model": model,
			"memory_mib": readMiB(root, g.dir()+"/mem_info_vram_total"),
		}))
	}
	if all := slices.Compact(slices.Sorted(maps.Values(targets))); len(all) > 0 {
		set["gfx_targets"] = strings.Join(all, ",")
		if len(all) == 1 {
			set["gfx_target"] = all[0]
		}
	}
	shareElement(out, amdSet, "model", gpus)
	leastMemory(out, amdSet, "the driver of a GPU does not report its memory size", gpus)
	if release := rocmOfDriver(set["driver_version"]); release != "" {
		set["rocm_driver"] = release
	}
	addCodeTargets(targets, out)
	release, err := readOptional(root, "opt/rocm/.info/version")
	setElement(out, amdSet, "rocm_version", release, err)
}

// kfdTargets returns, by PCI address, the instruction set of each GPU that the
// kernel's compute driver (KFD) offers. Without that driver there are none.
func kfdTargets(root Root) (map[string]string, error) {
	const dir = "sys/class/kfd/kfd/topology/nodes"
	names, err := readDirIn(root, "sys/class", dir)
	if err != nil {
		return nil, err
	}
	targets := map[string]string{}
	for _, name := range numbered(names, "") {
		data, err := root.ReadHead(dir+"/"+name+"/properties", maxDriverText)
		if err != nil {
			return nil, err
		}
		if address, target := parseKFDNode(data); target != "" {
			targets[address] = target
		}
	}
	return targets, nil
}

// parseKFDNode returns the PCI address and the instruction set of one node of the
// topology. CPUs have no instruction set there.
func parseKFDNode(data []byte) (address, target string) {
	properties := map[string]uint64{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			properties[key] = n
		}
	}
	location := properties["location_id"]
	address = fmt.Sprintf("%04x:%02x:%02x.%x",
		properties["domain"], location>>8&0xff, location>>3&0x1f, location&7)
	return address, gfxTarget(properties["gfx_target_version"])
}

// gfxTarget writes the kernel's number as compilers do: 90010 is gfx90a, and
// 110001 is gfx1101.
func gfxTarget(n uint64) string {
	major, minor, stepping := n/10000, n/100%100, n%100
	if major == 0 || major > 99 || minor > 15 || stepping > 15 {
		return ""
	}
	return fmt.Sprintf("gfx%d%x%x", major, minor, stepping)
}

// rocmOfDriver returns the release of ROCm that a version of AMD's own amdgpu module
// came with, by AMD's list of drivers; empty for that of the kernel's source and for
// one older than the list.
func rocmOfDriver(driver string) string {
	newest := ""
	for _, release := range [][2]string{
		{"6.2.4", "5.7"}, {"6.3.6", "6.0"}, {"6.7.0", "6.1"}, {"6.8.5", "6.2"}, {"6.10.5", "6.3"}, {"6.12.12", "6.4"}, {"6.14.14", "7.0"}, {"6.16.6", "7.1"},
		{"6.16.13", "7.2"}, {"6.19.4", "7.13"}, {"6.19.14", "7.14"},
	} {
		if order, ok := version.Compare(driver, release[0]); ok && order >= 0 {
			newest = release[1]
		}
	}
	return newest
}

// addCodeTargets sets gpu.gfx to what the GPUs run code for: their instruction sets
// and the generic ones. Of GPUs that differ, what only some run is unknown, since
// which of them a container gets is not known.
func addCodeTargets(targets map[string]string, out *facts.Features) {
	count := map[string]int{}
	for _, target := range targets {
		count[target]++
		if generic := genericGFX(target); generic != "" {
			count[generic]++
		}
	}
	out.Flags["gpu.gfx"] = []string{}
	for target, n := range count {
		if n == len(targets) {
			out.Flags["gpu.gfx"] = append(out.Flags["gpu.gfx"], target)
		} else {
			out.Unknown["gpu.gfx/"+target] = "only some of the GPUs run it"
		}
	}
}

// genericGFX is LLVM's generic target whose code a GPU runs: "Generic processor code
// object versioning" of its AMDGPU guide. It is empty where there is none.
func genericGFX(target string) string {
	for generic, members := range map[string]string{
		"gfx9-generic":    "gfx900 gfx902 gfx904 gfx906 gfx909 gfx90c",
		"gfx9-4-generic":  "gfx940 gfx941 gfx942 gfx950",
		"gfx10-1-generic": "gfx1010 gfx1011 gfx1012 gfx1013",
		"gfx10-3-generic": "gfx1030 gfx1031 gfx1032 gfx1033 gfx1034 gfx1035 gfx1036",
		"gfx11-generic":   "gfx1100 gfx1101 gfx1102 gfx1103 gfx1150 gfx1151 gfx1152 gfx1153",
		"gfx12-generic":   "gfx1200 gfx1201",
	} {
		if slices.Contains(strings.Fields(members), target) {
			return generic
		}
	}
	return ""
}
