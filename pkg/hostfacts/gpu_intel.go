package hostfacts

import (
	"maps"
	"strconv"

	"github.com/imagefit/imagefit/pkg/facts"
)

const intelSet = "gpu.intel"

func describeIntel(root Root, gpus []gpu, out *facts.Features) {
	var discrete []gpu
	for _, g := range gpus {
		integrated := g.address == "0000:00:02.0" // always there, and only there
		maps.Copy(g.facts, known(map[string]string{
			"integrated": strconv.FormatBool(integrated), "model": intelModel(g.device),
			"memory_mib": intelMemory(root, g),
		}))
		if !integrated {
			discrete = append(discrete, g)
		}
	}
	out.Attributes[intelSet]["discrete_count"] = strconv.Itoa(len(discrete))
	shareElement(out, intelSet, "driver", gpus)
	for _, module := range []string{"i915", "xe"} {
		if out.Attributes[intelSet]["driver"] == module {
			setDriverVersion(root, out, intelSet, module, gpus)
		}
	}
	shareElement(out, intelSet, "model", gpus)
	leastMemory(out, intelSet, "the driver of a discrete GPU does not report its memory size", discrete)
}

// intelMemory returns the size of a GPU's own memory, which an integrated one
// does not have. The i915 driver reports it per card, xe per tile.
func intelMemory(root Root, g gpu) string {
	names, _ := root.ReadDir(g.dir() + "/drm")
	for _, name := range numbered(names, "card") {
		if size := readMiB(root, g.dir()+"/drm/"+name+"/lmem_total_bytes"); size != "" {
			return size
		}
	}
	const maxTiles = 8
	total := uint64(0)
	for tile := range maxTiles {
		size := readMiB(root, g.dir()+"/tile"+strconv.Itoa(tile)+"/physical_vram_size_bytes")
		if size == "" {
			break
		}
		n, _ := strconv.ParseUint(size, 10, 64) // readMiB returns digits
		total += n
	}
	if total == 0 {
		return ""
	}
	return strconv.FormatUint(total, 10)
}

// intelModel names the GPUs for servers, by PCI device id (pci.ids).
func intelModel(device string) string {
	const name = "Intel Data Center GPU "
	return map[string]string{
		"0bd5": name + "Max 1550", "0bd6": name + "Max 1550", "0bd7": name + "Max 1350", "0bd8": name + "Max 1350",
		"0bd9": name + "Max 1100", "0bda": name + "Max 1100", "0bdb": name + "Max 1100",
		"56c0": name + "Flex 170", "56c1": name + "Flex 140",
	}[device]
}
