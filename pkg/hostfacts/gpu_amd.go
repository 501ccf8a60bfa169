package hostfacts

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const amdSet = "gpu.amd"

func describeAMD(root Root, gpus []gpu, out *facts.Features) {
	set := out.Attributes[amdSet]
	setDriverVersion(root, out, amdSet, "amdgpu", gpus)
	targets, err := kfdTargets(root)
	if err != nil {
		out.Unknown[amdSet+"/gfx_target"] = facts.CauseOf(err)
		out.Unknown[amdSet+"/gfx_targets"] = facts.CauseOf(err)
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
